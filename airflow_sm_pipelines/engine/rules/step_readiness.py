"""Which of the steps that are not scheduled yet may start, which still wait, and which never will start.

A step starts when each of its dependencies ended as its trigger says and, inside a Condition's branch, when the
Condition took that branch. A step that waits for something that can no longer happen is unreachable: it never starts.
So is every step that waits for an unreachable one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.status import StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import StepGraph, StepNode

_WANTED = {"Completed": StepStatus.SUCCEEDED, "Failed": StepStatus.FAILED, "Stopped": StepStatus.STOPPED}


def satisfies(trigger: str, status: StepStatus) -> bool:
    """Whether a step that ended with this status satisfies a dependency with this trigger."""
    return trigger == "Any" or _WANTED[trigger] is status


class StepReadiness:
    """The unscheduled steps of one graph. The end of a step costs as much as there are steps that wait for it.

    :param statuses: the status of every scheduled step. Call ``note_start`` or ``note_end`` after you change one.
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
        # How many steps each unscheduled step still waits for; unreachable steps are not in it.
        self._missing: dict[str, int] = {}
        self._unreachable: set[str] = set()
        self._new_ready: list[str] = []
        self._new_unreachable: list[str] = []
        for name in graph.order:
            if name not in statuses:
                self._classify(name, is_selected=selected is None or name in selected)

    def is_unreachable(self, name: str) -> bool:
        """Whether a step can never start."""
        return name in self._unreachable

    def take_ready(self) -> list[str]:
        """The steps that have become ready to start since the last call."""
        ready, self._new_ready = self._new_ready, []
        return ready

    def take_unreachable(self) -> list[str]:
        """The steps that have become unreachable since the last call."""
        unreachable, self._new_unreachable = self._new_unreachable, []
        return unreachable

    def note_outcome(self, name: str, *, is_true: bool) -> None:
        """Record what a Condition step found. Call it before ``note_end`` of the step."""
        self._outcomes[name] = is_true

    def note_start(self, name: str) -> None:
        """Record that a step was scheduled."""
        self._missing.pop(name, None)
        self._unreachable.discard(name)

    def note_end(self, name: str) -> None:
        """Record that a step ended; its status is in ``statuses``."""
        for follower in self._graph.downstream(name):
            if follower not in self._missing:
                continue
            if not self._allows(name, self._graph.nodes[follower]):
                self._mark_unreachable(follower)
                continue
            self._missing[follower] -= 1
            if self._missing[follower] == 0:
                self._new_ready.append(follower)

    def _classify(self, name: str, *, is_selected: bool) -> None:
        """Find whether a step is ready, waits or is unreachable. The steps before it were classified already."""
        node = self._graph.nodes[name]
        missing = 0
        is_unreachable = not is_selected
        for before in node.waits_for:
            status = self._statuses.get(before)
            if status is None or not status.is_terminal:
                missing += 1
                is_unreachable |= before in self._unreachable
            else:
                is_unreachable |= not self._allows(before, node)
        if is_unreachable:
            self._unreachable.add(name)
            self._new_unreachable.append(name)
            return
        self._missing[name] = missing
        if missing == 0:
            self._new_ready.append(name)

    def _allows(self, ended: str, node: StepNode) -> bool:
        """Whether a step that ended allows the start of a step that waits for it."""
        status = self._statuses[ended]
        if node.parent == ended and (
            status is not StepStatus.SUCCEEDED or self._outcomes.get(ended) is not (node.branch == "If")
        ):
            return False
        return all(satisfies(one.trigger, status) for one in node.upstream if one.step == ended)

    def _mark_unreachable(self, name: str) -> None:
        """Mark a step, and every step that waits for it."""
        work = [name]
        while work:
            step = work.pop()
            if self._missing.pop(step, None) is not None:
                self._unreachable.add(step)
                self._new_unreachable.append(step)
                work.extend(self._graph.downstream(step))


class FailureHandlers:
    """The steps with a trigger other than ``Completed``, and the steps that follow from them.

    They are read from the graph once.
    """

    def __init__(self, graph: StepGraph) -> None:
        self._graph = graph
        self._handlers: dict[str, list[tuple[str, str]]] = {}
        self._recoveries: set[str] = set()
        for name in graph.order:
            node = graph.nodes[name]
            for dependency in node.upstream:
                if dependency.trigger != "Completed":
                    self._handlers.setdefault(dependency.step, []).append((name, dependency.trigger))
                    self._recoveries.add(name)
                elif dependency.step in self._recoveries:
                    self._recoveries.add(name)
            if node.parent in self._recoveries:
                self._recoveries.add(name)

    def handlers(self, name: str, status: StepStatus) -> Iterator[str]:
        """The steps that handle the end of a step with this status."""
        return (handler for handler, trigger in self._handlers.get(name, ()) if satisfies(trigger, status))

    def handled_by(self, name: str) -> Iterator[str]:
        """The steps whose failure this step would handle."""
        return (one.step for one in self._graph.nodes[name].upstream if one.trigger != "Completed")

    def is_recovery(self, name: str) -> bool:
        """Whether a step may start while a failure blocks others: it handles one, or follows a step that does."""
        return name in self._recoveries
