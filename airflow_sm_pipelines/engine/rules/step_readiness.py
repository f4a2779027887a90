"""What lies ahead of the steps that are not scheduled yet: which may start, which wait, which never will. Pure.

A step starts when each of its dependencies ended as its trigger says and, inside a Condition's branch, when the
Condition took that branch. One that waits for what can no longer happen never starts, nor does what waits for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.status import StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import StepGraph, StepNode

_WANTED = {"Completed": StepStatus.SUCCEEDED, "Failed": StepStatus.FAILED, "Stopped": StepStatus.STOPPED}


def satisfies(trigger: str, status: StepStatus) -> bool:
    """Whether a step that ended so is what a dependency waits for."""
    return trigger == "Any" or _WANTED[trigger] is status


class Prospects:
    """The unscheduled steps of one graph. Each step's end costs as much as there are steps that wait for it.

    :param statuses: the status of every scheduled step; whoever changes it tells.
    :param outcomes: what each evaluated Condition step found.
    :param selected: the only steps that may start; None means all.
    """

    def __init__(
        self,
        graph: StepGraph,
        statuses: Mapping[str, StepStatus],
        outcomes: dict[str, bool],
        selected: frozenset[str] | None,
    ) -> None:
        self._graph = graph
        self._statuses = statuses
        self._outcomes = outcomes
        # How many steps each unscheduled one still waits for; those that never start are not here.
        self._missing: dict[str, int] = {}
        self._hopeless: set[str] = set()
        self._news_ready: list[str] = []
        self._news_hopeless: list[str] = []
        for name in graph.order:
            if name not in statuses:
                self._judge(name, is_selected=selected is None or name in selected)

    def is_hopeless(self, name: str) -> bool:
        """Whether a step can never start."""
        return name in self._hopeless

    def take_ready(self) -> list[str]:
        """The steps that may start since the last call."""
        news, self._news_ready = self._news_ready, []
        return news

    def take_hopeless(self) -> list[str]:
        """The steps that can never start since the last call."""
        news, self._news_hopeless = self._news_hopeless, []
        return news

    def note_outcome(self, name: str, *, is_true: bool) -> None:
        """Learn what a Condition step found; to be told before the step's end is."""
        self._outcomes[name] = is_true

    def note_start(self, name: str) -> None:
        """Learn that a step was scheduled."""
        self._missing.pop(name, None)
        self._hopeless.discard(name)

    def note_end(self, name: str) -> None:
        """Learn that a step ended; its status is in ``statuses``."""
        for follower in self._graph.downstream(name):
            if follower not in self._missing:
                continue
            if not self._lets(name, self._graph.nodes[follower]):
                self._give_up(follower)
                continue
            self._missing[follower] -= 1
            if self._missing[follower] == 0:
                self._news_ready.append(follower)

    def _judge(self, name: str, *, is_selected: bool) -> None:
        """Say what lies ahead of a step; those before it in the graph's order have been judged."""
        node = self._graph.nodes[name]
        missing = 0
        is_hopeless = not is_selected
        for before in node.waits_for:
            status = self._statuses.get(before)
            if status is None or not status.is_terminal:
                missing += 1
                is_hopeless |= before in self._hopeless
            else:
                is_hopeless |= not self._lets(before, node)
        if is_hopeless:
            self._hopeless.add(name)
            self._news_hopeless.append(name)
            return
        self._missing[name] = missing
        if missing == 0:
            self._news_ready.append(name)

    def _lets(self, ended: str, node: StepNode) -> bool:
        """Whether a step that ended lets one start that waits for it."""
        status = self._statuses[ended]
        if node.parent == ended and (
            status is not StepStatus.SUCCEEDED or self._outcomes.get(ended) is not (node.branch == "If")
        ):
            return False
        return all(satisfies(one.trigger, status) for one in node.upstream if one.step == ended)

    def _give_up(self, name: str) -> None:
        work = [name]
        while work:
            hopeless = work.pop()
            if self._missing.pop(hopeless, None) is not None:
                self._hopeless.add(hopeless)
                self._news_hopeless.append(hopeless)
                work.extend(self._graph.downstream(hopeless))


class RunConditions:
    """The steps with a trigger other than ``Completed``, and what follows from them; read from the graph once."""

    def __init__(self, graph: StepGraph) -> None:
        self._graph = graph
        self._handlers: dict[str, list[tuple[str, str]]] = {}
        self._rescuers: set[str] = set()
        for name in graph.order:
            node = graph.nodes[name]
            for dependency in node.upstream:
                if dependency.trigger != "Completed":
                    self._handlers.setdefault(dependency.step, []).append((name, dependency.trigger))
                    self._rescuers.add(name)
                elif dependency.step in self._rescuers:
                    self._rescuers.add(name)
            if node.parent in self._rescuers:
                self._rescuers.add(name)

    def handlers(self, name: str, status: StepStatus) -> Iterator[str]:
        """The steps that wait for this one to end so, by name of another end than success."""
        return (handler for handler, trigger in self._handlers.get(name, ()) if satisfies(trigger, status))

    def waited_for(self, name: str) -> Iterator[str]:
        """The steps whose failure this one would handle."""
        return (one.step for one in self._graph.nodes[name].upstream if one.trigger != "Completed")

    def is_rescuer(self, name: str) -> bool:
        """Whether a step may start while a failure blocks: it has a run condition, or follows from one that has."""
        return name in self._rescuers
