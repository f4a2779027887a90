"""A state machine of the Amazon States Language as it is written: its states, and which comes after which.

What the service would refuse is refused here, too, with its place: transitions to nowhere, states that none reaches.
Source: states-language.net, and the developer guide of Step Functions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue

STATE_TYPES = ("Task", "Pass", "Choice", "Wait", "Succeed", "Fail", "Parallel", "Map")
MAX_STATES = 400
"""More states than any machine that people write; planning takes time with the square of their number."""
MAX_NAME = 80
"""How long the name of a state may be. Source: the API reference of Step Functions, on state names."""
MAX_DEPTH = 20
"""How deep Parallel and Map states may stand in each other."""

DEFAULT = -1
"""Stands for a Choice state's Default, beside the indexes of its rules."""


_ALWAYS_READ = frozenset(
    {"Type", "Next", "End", "Comment", "QueryLanguage", "InputPath", "OutputPath", "Assign", "Output", "Catch"}
)
_READ = {
    "Task": {"Resource", "Parameters", "Arguments", "ResultSelector", "ResultPath", "Retry", "TimeoutSeconds"},
    "Pass": {"Parameters", "Arguments", "Result", "ResultPath"},
    "Choice": {"Choices", "Default"},
    "Wait": {"Seconds", "SecondsPath", "Timestamp", "TimestampPath"},
    "Succeed": set[str](),
    "Fail": {"Error", "Cause", "ErrorPath", "CausePath"},
    "Parallel": {"Branches", "Parameters", "Arguments", "ResultSelector", "ResultPath"},
    "Map": {
        *("ItemProcessor", "Iterator", "ItemsPath", "Items", "ItemSelector", "Parameters", "MaxConcurrency"),
        *("ResultSelector", "ResultPath"),
    },
}
"""The members of a state that are read, by its type; others are listed as lost."""


@dataclass(frozen=True, slots=True)
class State:
    """One state.

    :param name: as the machine has it.
    :param body: its object in the machine.
    :param place: ``file:line:column``.
    :param machines: of a Parallel state its branches, of a Map state what it does for each item.
    """

    name: str
    type: str
    body: JsonObject
    place: str
    machines: tuple[Machine, ...] = ()

    @property
    def next(self) -> str | None:
        """The state after it; None if it is a last one, or a Choice."""
        following = self.body.get("Next")
        return following if isinstance(following, str) else None

    @property
    def catchers(self) -> list[JsonObject]:
        """Its catchers."""
        return _objects(self.body.get("Catch"))

    @property
    def source(self) -> str:
        """Where it stands, in words for people."""
        return f"States.{self.name} ({self.place})"

    def iter_unread(self) -> Iterator[str]:
        """Its members that nothing here reads."""
        yield from (key for key in self.body if key not in _ALWAYS_READ | _READ[self.type])

    def iter_choices(self) -> Iterator[tuple[int, str]]:
        """Of a Choice: each rule's index and the state that it leads to; :data:`DEFAULT` for its Default."""
        for index, rule in enumerate(_objects(self.body.get("Choices"))):
            yield index, str(rule.get("Next"))
        if isinstance(self.body.get("Default"), str):
            yield DEFAULT, str(self.body["Default"])


@dataclass(frozen=True, slots=True)
class Machine:
    """A state machine, or the part of one inside a Parallel or Map state.

    :param start: the first state.
    :param is_jsonata: whether states are in JSONata that do not say.
    """

    states: dict[str, State]
    start: str
    is_jsonata: bool
    body: JsonObject = field(default_factory=dict)

    def iter_all_states(self) -> Iterator[State]:
        """Every state, outer before inner."""
        for state in self.states.values():
            yield state
            for machine in state.machines:
                yield from machine.iter_all_states()


def parse_machine(document: JsonValue, *, locate: Callable[[JsonPath], str]) -> Machine:
    """Read a machine.

    :param document: the machine's object.
    :param locate: gives the place of a value of it, by its path: ``file:line:column``.
    :raises MigrationError: at the first thing that the service would refuse.
    """
    machine = _Parser(locate).parse(document, (), is_jsonata=False, depth=0)
    count = sum(1 for _ in machine.iter_all_states())
    if count > MAX_STATES:
        raise MigrationError(f"{locate(())}: the machine has {count} states; more than {MAX_STATES} are not read.")
    return machine


class _Parser:
    def __init__(self, locate: Callable[[JsonPath], str]) -> None:
        self._locate = locate
        self._names: dict[str, str] = {}

    def _fault(self, path: JsonPath, problem: str) -> MigrationError:
        return MigrationError(f"{self._locate(path)}: {problem}")

    def parse(self, document: JsonValue, path: JsonPath, *, is_jsonata: bool, depth: int) -> Machine:
        if depth > MAX_DEPTH:
            raise self._fault(path, f"states stand more than {MAX_DEPTH} deep in each other.")
        if not isinstance(document, dict):
            raise self._fault(path, "expected the object of a state machine.")
        states, start = document.get("States"), document.get("StartAt")
        if not isinstance(states, dict) or not states:
            raise self._fault(path, "the machine has no States.")
        if not isinstance(start, str):
            raise self._fault(path, "the machine has no StartAt, the name of its first state.")
        language = document.get("QueryLanguage")
        is_jsonata = language == "JSONata" if language is not None else is_jsonata
        read = {
            name: self._parse_state(name, body, (*path, "States", name), is_jsonata=is_jsonata, depth=depth)
            for name, body in states.items()
        }
        self._check_transitions(read, start, path)
        return Machine(read, start, is_jsonata, document)

    def _parse_state(self, name: str, body: JsonValue, path: JsonPath, *, is_jsonata: bool, depth: int) -> State:
        if not isinstance(body, dict):
            raise self._fault(path, f"the state {name!r} is no object.")
        kind = body.get("Type")
        if kind not in STATE_TYPES:
            known = list_names(STATE_TYPES, limit=9)
            raise self._fault(path, f"the state {name!r} has the Type {kind!r}; those are {known}.")
        if len(name) > MAX_NAME:
            problem = f"the name of this state has {len(name)} characters; the service takes at most {MAX_NAME}."
            raise self._fault(path, problem)
        if name in self._names:
            raise self._fault(path, f"the name {name!r} is taken by the state at {self._names[name]}.")
        self._names[name] = self._locate(path)
        inner: list[tuple[JsonValue, JsonPath]] = []
        if kind == "Parallel":
            branches = body.get("Branches")
            if not isinstance(branches, list) or not branches:
                raise self._fault(path, f"the state {name!r} has no Branches.")
            inner = [(branch, (*path, "Branches", index)) for index, branch in enumerate(branches)]
        elif kind == "Map":
            key = "ItemProcessor" if "ItemProcessor" in body else "Iterator"
            inner = [(body.get(key), (*path, key))]
        machines = tuple(self.parse(one, at, is_jsonata=is_jsonata, depth=depth + 1) for one, at in inner)
        state = State(name, str(kind), body, self._locate(path), machines)
        self._check_end(state, path)
        return state

    def _check_end(self, state: State, path: JsonPath) -> None:
        for key in ("Catch", "Retry", "Choices"):
            value = state.body.get(key, [])
            if not isinstance(value, list) or len(_objects(value)) < len(value):
                raise self._fault((*path, key), f"the {key} of the state {state.name!r} is no list of objects.")
        if state.type == "Choice":
            if not _objects(state.body.get("Choices")):
                raise self._fault(path, f"the state {state.name!r} has no Choices.")
        elif state.type == "Task" and not isinstance(state.body.get("Resource"), str):
            raise self._fault(path, f"the state {state.name!r} has no Resource, the ARN of what does its work.")
        elif state.type not in ("Succeed", "Fail") and state.next is None and state.body.get("End") is not True:
            raise self._fault(path, f"the state {state.name!r} has neither Next nor End.")

    def _check_transitions(self, states: dict[str, State], start: str, path: JsonPath) -> None:
        if start not in states:
            raise self._fault((*path, "StartAt"), f"no state is called {start!r}.{suggest(start, states)}")
        for state in states.values():
            for target in _iter_targets(state):
                if target not in states:
                    at = (*path, "States", state.name)
                    problem = f"{state.name!r} leads to {target!r}, but no state is called so."
                    raise self._fault(at, f"{problem}{suggest(target, states)}")
        reached, left = {start}, [start]
        while left:
            for target in _iter_targets(states[left.pop()]):
                if target not in reached:
                    reached.add(target)
                    left.append(target)
        lost = [name for name in states if name not in reached]
        if lost:
            raise self._fault((*path, "States", lost[0]), f"no state leads to {lost[0]!r}; the service refuses that.")


def _iter_targets(state: State) -> Iterator[str]:
    """The states that may come after a state, in the machine's order."""
    if state.type == "Choice":
        yield from (target for _, target in state.iter_choices())
    elif state.next is not None:
        yield state.next
    yield from (str(catcher.get("Next")) for catcher in state.catchers)


def _objects(value: JsonValue) -> list[JsonObject]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
