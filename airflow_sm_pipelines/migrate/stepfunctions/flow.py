"""The graph of a machine as blocks: what comes one after the other, branches that join again, and handled failures.

A machine may jump from any state to any other. The blocks have no jumps: branches end where they meet, rules that lead
to a common part stand together, and a part that two ways share without meeting before it is copied. States that form a
circle have no block; they are given as one :class:`Circle`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeAlias, cast

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.stepfunctions.machine import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.stepfunctions.machine import Machine, State

MAX_COPIES = 60
"""More copied states than this make a DAG that nobody can read."""

ALL_ERRORS = ("States.ALL", "States.TaskFailed")


@dataclass(frozen=True, slots=True)
class Do:
    """One state."""

    state: State


@dataclass(frozen=True, slots=True)
class Way:
    """One way of a choice.

    :param rules: the indexes of the rules that lead to it; :data:`machine.DEFAULT` if the Default does.
    :param block: what is done before the ways join again.
    """

    rules: tuple[int, ...]
    block: Block


@dataclass(frozen=True, slots=True)
class Fork:
    """A choice. The way of the first rule that holds is taken, among ``rules``."""

    state: State
    rules: tuple[int, ...]
    ways: tuple[Way, ...]


@dataclass(frozen=True, slots=True)
class Guard:
    """States with the same catcher, and what it leads to.

    :param states: the work.
    :param catcher: from the machine.
    :param handler: what is done after a failure.
    :param otherwise: what is done after success, before both join again.
    """

    states: tuple[State, ...]
    catcher: JsonObject
    handler: Block
    otherwise: Block


@dataclass(frozen=True, slots=True)
class Circle:
    """States that lead back to themselves.

    :param states: all of them, the first one first.
    """

    states: tuple[State, ...]


@dataclass(frozen=True, slots=True)
class Poll:
    """One Task that is repeated until a Choice leads out of its circle. The choice among the ways out follows.

    :param states: all of the circle.
    :param choice: the Choice; where its Default leads to another Choice of the circle, the rules of both.
    :param stay: the indexes of the rules that lead back.
    :param folded: the other Choice states whose rules it has.
    """

    states: tuple[State, ...]
    task: State
    choice: State
    wait: State | None
    stay: tuple[int, ...]
    folded: tuple[State, ...] = ()


Item: TypeAlias = Do | Fork | Guard | Circle | Poll
Block: TypeAlias = "tuple[Item, ...]"


def find_catcher(state: State) -> JsonObject | None:
    """The catcher that stands for a failure of any kind: the one for all errors, otherwise the first."""
    catchers = state.catchers
    for catcher in catchers:
        errors = catcher.get("ErrorEquals")
        if isinstance(errors, list) and any(error in ALL_ERRORS for error in errors):
            return catcher
    return catchers[0] if catchers else None


def make_blocks(machine: Machine) -> Block:
    """The blocks of a machine.

    :raises MigrationError: its branches cross so often that too much would have to be copied.
    """
    return _Structure(machine).make(machine.start, None)


class _Structure:
    """The graph with each circle as one node, and for each node the nodes that every way from it leads through."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._names = list(machine.states)
        edges = {name: list(_iter_next(machine.states[name])) for name in self._names}
        self._circles = _find_circles(edges, machine.start)
        self._first = {name: members[0] for members in self._circles.values() for name in members}
        self._edges = self._merge_circles(edges)
        self._end = len(self._names)
        self._index = {name: index for index, name in enumerate(self._names)}
        self._always: dict[str, int] = {}
        self._reach: dict[str, int] = {}
        self._all = (1 << (self._end + 1)) - 1
        for name in _order(self._edges, machine.start):
            self._note(name)
        self._left = len(self._names) + MAX_COPIES

    def _merge_circles(self, edges: dict[str, list[str | None]]) -> dict[str, list[str | None]]:
        """The edges with those of each circle at its first state."""
        first_of = self._first
        merged: dict[str, list[str | None]] = {}
        for name, targets in edges.items():
            first = first_of.get(name, name)
            kept = [target if target is None else first_of.get(target, target) for target in targets]
            merged.setdefault(first, []).extend(target for target in kept if target != first)
        return merged

    def _note(self, name: str) -> None:
        own = 1 << self._index[name]
        always, reach = self._all, own
        for target in self._edges[name]:
            always &= self._get_always(target)
            reach |= self._get_reach(target)
        # What always fails comes to no end: every node is on each of its ways to the end, for there are none.
        self._always[name] = self._all if always == self._all else always | own
        self._reach[name] = reach

    def _get_always(self, name: str | None) -> int:
        return 1 << self._end if name is None else self._always[name]

    def _get_reach(self, name: str | None) -> int:
        return 0 if name is None else self._reach[name]

    def _find_join(self, targets: Iterable[str | None]) -> str | None:
        """The first state that all of these lead to, whatever is taken; None for the end."""
        common = self._all
        for target in targets:
            common &= self._get_always(target)
        if common == self._all:
            return None
        among = [name for name, index in self._index.items() if common >> index & 1 and name in self._always]
        return max(among, key=lambda name: self._always[name].bit_count(), default=None)

    def make(self, start: str | None, stop: str | None) -> Block:
        items: list[Item] = []
        current = start
        while current is not None and current != stop:
            self._count(current)
            state = self._machine.states[current]
            if current in self._circles:
                members = tuple(self._machine.states[name] for name in self._circles[current])
                join = self._find_join(self._edges[current])
                items += self._make_circle(members, join)
                current = join
            elif state.type == "Choice":
                rules = tuple(index for index, _ in state.iter_choices())
                join = self._find_join(self._edges[current])
                items.append(self._make_fork(state, rules, join))
                current = join
            elif find_catcher(state) is not None:
                guard, current = self._make_guard(state, stop)
                items.append(guard)
            else:
                items.append(Do(state))
                current = self._get_next(state)
        return tuple(items)

    def _get_next(self, state: State) -> str | None:
        return None if state.next is None else self._first.get(state.next, state.next)

    def _make_circle(self, states: tuple[State, ...], join: str | None) -> list[Item]:
        poll = _find_poll(states)
        if poll is None:
            return [Circle(states)]
        rules = tuple(index for index, _ in poll.choice.iter_choices())
        leaving = tuple(index for index in rules if index not in poll.stay)
        found: list[Item] = [poll]
        if states[0].type == "Choice":
            ways = (Way(poll.stay, (poll,)), Way(leaving, ()))
            found = [Fork(poll.choice, rules, tuple(sorted(ways, key=_way_order)))]
        return [*found, self._make_fork(poll.choice, leaving, join)]

    def _count(self, name: str) -> None:
        self._left -= 1
        if self._left < 0:
            place = self._machine.states[name].place
            problem = f"the branches at {name!r} cross so often that too many states would be copied"
            raise MigrationError(f"{place}: {problem}.")

    # --- choices ------------------------------------------------------------------------------------------------

    def _make_fork(self, state: State, rules: tuple[int, ...], join: str | None) -> Fork:
        targets = {index: self._first.get(to, to) for index, to in state.iter_choices() if index in rules}
        groups: dict[str | None, list[int]] = {}
        for index in rules:
            groups.setdefault(targets[index], []).append(index)
        beyond = self._get_reach(join)
        clusters: list[tuple[int, list[str | None]]] = []
        for target in groups:
            reach = 0 if target == join else self._get_reach(target) & ~beyond
            touching = [one for one in clusters if one[0] & reach]
            clusters = [one for one in clusters if not one[0] & reach]
            merged = [member for one in touching for member in one[1]]
            clusters.append((reach | _union(one[0] for one in touching), [*merged, target]))
        ways = []
        for _, members in clusters:
            indexes = tuple(sorted(index for member in members for index in groups[member]))
            if len(members) == 1 or len(clusters) == 1:
                ways += [Way(tuple(groups[member]), self.make(member, join)) for member in members]
                continue
            inner = self._find_join(members)
            fork = self._make_fork(state, indexes, inner)
            ways.append(Way(indexes, (fork, *self.make(inner, join))))
        return Fork(state, rules, tuple(sorted(ways, key=_way_order)))

    # --- catchers -----------------------------------------------------------------------------------------------

    def _make_guard(self, state: State, stop: str | None) -> tuple[Guard, str | None]:
        catcher = find_catcher(state) or {}
        wanted = json.dumps(catcher, sort_keys=True)
        states = [state]
        while True:
            following = self._get_next(states[-1])
            if following is None or following == stop or following in self._circles:
                break
            candidate = self._machine.states[following]
            if candidate.type == "Choice" or json.dumps(find_catcher(candidate), sort_keys=True) != wanted:
                break
            self._count(following)
            states.append(candidate)
        target = str(catcher["Next"])
        following, target = self._get_next(states[-1]), self._first.get(target, target)
        join = self._find_join((following, target))
        if self._get_always(target) == self._all:
            join = following
        handler, otherwise = self.make(target, join), self.make(following, join)
        return Guard(tuple(states), catcher, handler, otherwise), join


def _find_poll(states: tuple[State, ...]) -> Poll | None:
    """The circle as a call that is repeated; None if it does more, or is entered in the middle of its choices."""
    by_type: dict[str, list[State]] = {}
    for state in states:
        by_type.setdefault(state.type, []).append(state)
    tasks, choices, waits = (by_type.pop(kind, []) for kind in ("Task", "Choice", "Wait"))
    if by_type or len(tasks) != 1 or len(waits) > 1 or tasks[0].catchers:
        return None
    if any(_changes_something(one.body) for one in waits):
        return None
    named = {state.name: state for state in states}
    task = tasks[0]
    chain = _find_chain(task.next, {one.name: one for one in choices})
    if len(chain) != len(choices) or not chain:
        return None
    choice = _join_choices(chain)
    is_changing = any(map(_changes_something, [choice.body, *cast("list[JsonObject]", choice.body["Choices"])]))
    if states[0].type == "Choice" and (states[0] is not chain[0] or is_changing):
        return None
    stay = tuple(index for index, target in choice.iter_choices() if target in named)
    if any(named[target].type == "Choice" for _, target in choice.iter_choices() if target in named):
        return None
    return Poll(states, task, choice, waits[0] if waits else None, stay, tuple(chain[1:]))


def _changes_something(holder: JsonObject) -> bool:
    """Whether a Wait, a Choice or a rule of one changes the document or variables."""
    paths = (holder.get("InputPath", "$"), holder.get("OutputPath", "$"))
    return paths != ("$", "$") or "Assign" in holder or "Output" in holder


def _find_chain(name: str | None, choices: dict[str, State]) -> list[State]:
    """Choice states of which each is the Default of the one before, as far as they change nothing of the document."""
    chain: list[State] = []
    while name in choices:
        chain.append(choices.pop(name))
        name = cast("str | None", chain[-1].body.get("Default"))
        if _changes_something(chain[-1].body):
            break
    return chain


def _join_choices(chain: Sequence[State]) -> State:
    """A Choice with the rules of several, of which each is the Default of the one before."""
    rules = [rule for one in chain for rule in cast("list[JsonValue]", one.body["Choices"])]
    last = {key: value for key, value in chain[-1].body.items() if key == "Default"}
    first = {key: value for key, value in chain[0].body.items() if key != "Default"}
    return chain[0] if len(chain) == 1 else replace(chain[0], body={**first, "Choices": rules, **last})


def _union(values: Iterable[int]) -> int:
    found = 0
    for value in values:
        found |= value
    return found


def _way_order(way: Way) -> tuple[bool, int]:
    return DEFAULT in way.rules, min(way.rules)


def _iter_next(state: State) -> list[str | None]:
    """The nodes after a state; None for the end of the machine. A Fail has none."""
    if state.type == "Fail":
        return []
    is_choice = state.type == "Choice"
    following: list[str | None] = [target for _, target in state.iter_choices()] if is_choice else [state.next]
    catcher = find_catcher(state)
    return following if catcher is None else [*following, str(catcher.get("Next"))]


def _order(edges: dict[str, list[str | None]], start: str) -> list[str]:
    """The nodes, each after the nodes that it leads to."""
    done: set[str] = set()
    ordered: list[str] = []
    stack = [(start, iter(edges[start]))]
    done.add(start)
    while stack:
        name, rest = stack[-1]
        following = next((one for one in rest if one is not None and one not in done), None)
        if following is None:
            stack.pop()
            ordered.append(name)
        else:
            done.add(following)
            stack.append((following, iter(edges[following])))
    return ordered


def _find_circles(edges: dict[str, list[str | None]], start: str) -> dict[str, list[str]]:
    """The circles, each under the state at which it is entered first, its members in the machine's order."""
    order = {name: index for index, name in enumerate(reversed(_order(edges, start)))}
    reverse: dict[str, list[str]] = {}
    for name, targets in edges.items():
        for target in targets:
            if target is not None:
                reverse.setdefault(target, []).append(name)
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    for name in sorted(order, key=order.__getitem__):
        if name in seen:
            continue
        members, left = {name}, [name]
        while left:
            for other in reverse.get(left.pop(), ()):
                if other in order and other not in seen and other not in members:
                    members.add(other)
                    left.append(other)
        seen |= members
        if len(members) > 1 or name in edges[name]:
            first = min(members, key=order.__getitem__)
            found[first] = [first, *sorted(members - {first}, key=order.__getitem__)]
    return found
