"""What an execution does next: from the graph and the steps' statuses to starts, stops and the final status.

Pure, and the one place where the rules of running stand:

* A step starts when each of its dependencies ended as its trigger says (``Completed`` means Succeeded) and, inside a
  Condition's branch, when the Condition took that branch.
* A step that waits for something that can no longer happen never starts: the branch not taken, and whatever depends
  on it. Depending on a Condition step means waiting for its evaluation, not for its branches.
* A Failed or Stopped step is *handled* if a step with a matching trigger (``Failed``, ``Stopped``, ``Any``) runs or
  still may. An unhandled one blocks: running steps finish, nothing new starts except steps with such a trigger and what
  depends on these. (Whether the service still starts independent branches is not documented; this is our choice.)
* A ForEach step that runs starts, by these same rules among them, the steps it makes of its items, and ends when
  nothing of them is left to do. It counts neither as active nor against a limit itself; its steps do.
* Final status: Stopped if a stop was requested, Failed if a failure was unhandled, CompletedWithFailures if all were
  handled (SDK v3, ``StepDependency``), else Succeeded.

A :class:`Schedule` learns one status after the other, so that what each costs does not grow with the graph; what lies
ahead of the steps is in :mod:`~airflow_sm_pipelines.engine.rules.step_readiness`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ForEachStep
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.rules.step_readiness import Prospects, RunConditions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import StepGraph
    from airflow_sm_pipelines.engine.rules.fan_out import FanOut


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where an execution stands.

    :param statuses: the status of every step that was scheduled; absent means not yet.
    :param outcomes: what each evaluated Condition step found.
    :param stop_requested: whether StopPipelineExecution was called.
    :param selected: the only steps that may start (selective execution); None means all.
    :param max_parallel: how many steps may be active at once; None means no limit.
    :param fan_outs: the ForEach steps that run, by name; the statuses of their steps are among ``statuses``.
    """

    statuses: Mapping[str, StepStatus]
    outcomes: Mapping[str, bool] = field(default_factory=dict)
    stop_requested: bool = False
    max_parallel: int | None = None
    selected: frozenset[str] | None = None
    fan_outs: Mapping[str, FanOut] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do now.

    :param start: steps to start.
    :param stop: active steps to stop.
    :param end: ForEach steps whose iterations are over, and how they end.
    :param final: the execution's final status, once nothing is left to do.
    """

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    end: tuple[tuple[str, StepStatus], ...] = ()
    final: ExecutionStatus | None = None


def decide(graph: StepGraph, snapshot: Snapshot) -> Decision:
    """The next actions of an execution; the same snapshot always gives the same decision.

    Starts come in topological order, so with a limit the steps declared first go first.
    """
    schedule = Schedule(graph, statuses=snapshot.statuses, outcomes=snapshot.outcomes, selected=snapshot.selected)
    for name, fan_out in snapshot.fan_outs.items():
        schedule.fan_out(name, fan_out)
    return schedule.decide(stop_requested=snapshot.stop_requested, max_parallel=snapshot.max_parallel)


class Schedule:
    """One execution's steps as they come and go. It reads no clock and touches nothing outside.

    :param statuses: the status of every step that was scheduled, steps of ForEach steps included.
    :param outcomes: what each evaluated Condition step found.
    :param selected: the only steps that may start; None means all.
    """

    def __init__(
        self,
        graph: StepGraph,
        *,
        statuses: Mapping[str, StepStatus],
        outcomes: Mapping[str, bool],
        selected: frozenset[str] | None = None,
    ) -> None:
        self._graph = graph
        self._statuses = dict(statuses)
        # Dictionaries without values: sets that keep their order.
        self._active = {name: None for name, status in statuses.items() if not status.is_terminal}
        self._fan_outs: dict[str, Schedule] = {}
        self._limits: dict[str, int] = {}
        self._parents: dict[str, str] = {}
        self._conditions = RunConditions(graph)
        self._prospects = Prospects(graph, self._statuses, dict(outcomes), selected)
        self._bad = {name: None for name, status in statuses.items() if _is_bad(status) and name in graph.nodes}
        self._unhandled = {name for name in self._bad if not self._is_handled(name)}
        self._ready = _ReadySteps(graph, self._conditions)
        for name in self._prospects.take_ready():
            self._ready.add(name)
        self._prospects.take_hopeless()

    @property
    def statuses(self) -> Mapping[str, StepStatus]:
        """The status of every step that was scheduled."""
        return self._statuses

    def note_outcome(self, name: str, *, is_true: bool) -> None:
        """Learn what a Condition step found; to be told before the step's end is."""
        self._prospects.note_outcome(name, is_true=is_true)

    def note(self, name: str, status: StepStatus) -> None:
        """Learn a step's status.

        :raises ValueError: if the step had ended: a retried execution needs a new schedule.
        """
        old = self._statuses.get(name)
        if old is status:
            return
        if old is not None and old.is_terminal:
            raise ValueError(f"Step '{name}' had ended as {old}, it cannot become {status}.")
        self._statuses[name] = status
        if status.is_terminal:
            self._active.pop(name, None)
        else:
            self._active.setdefault(name)
        parent = self._parents.get(name)
        if parent is not None:
            self._fan_outs[parent].note(name, status)
        elif name in self._graph.nodes:
            if old is None:
                self._ready.discard(name)
                self._prospects.note_start(name)
            if status.is_terminal:
                self._note_end(name, status)

    def _note_end(self, name: str, status: StepStatus) -> None:
        if _is_bad(status):
            self._bad[name] = None
        self._prospects.note_end(name)
        if name in self._bad and not self._is_handled(name):
            self._unhandled.add(name)
        for ready in self._prospects.take_ready():
            self._ready.add(ready)
        for hopeless in self._prospects.take_hopeless():
            for failed in self._conditions.waited_for(hopeless):
                if failed in self._bad and not self._is_handled(failed):
                    self._unhandled.add(failed)

    def _is_handled(self, name: str) -> bool:
        status = self._statuses[name]
        return any(not self._prospects.is_hopeless(one) for one in self._conditions.handlers(name, status))

    def fan_out(self, name: str, fan_out: FanOut) -> None:
        """Learn the items of a ForEach step."""
        statuses = {child: self._statuses[child] for child in fan_out.graph.order if child in self._statuses}
        self._fan_outs[name] = Schedule(fan_out.graph, statuses=statuses, outcomes={})
        self._limits[name] = fan_out.max_concurrency
        self._parents.update(dict.fromkeys(fan_out.graph.nodes, name))

    def decide(self, *, stop_requested: bool = False, max_parallel: int | None = None) -> Decision:
        """The next actions, by the rules at the top of this module."""
        running = [name for name in self._fan_outs if not self._statuses[name].is_terminal]
        if stop_requested:
            stop = tuple(name for name in self._active if self._statuses[name] is not StepStatus.STOPPING)
            over = tuple((name, StepStatus.STOPPED) for name in running if not self._fan_outs[name]._active)
            return Decision(stop=stop, end=over, final=None if self._active else ExecutionStatus.STOPPED)
        children: list[str] = []
        end: list[tuple[str, StepStatus]] = []
        for name in running:
            inner = self._fan_outs[name].decide(max_parallel=self._limits[name])
            children.extend(inner.start)
            if inner.final is not None:
                failed = inner.final is ExecutionStatus.FAILED
                end.append((name, StepStatus.FAILED if failed else StepStatus.SUCCEEDED))
        room: int | None = None
        if max_parallel is not None:
            # A ForEach step with its items counts neither as active nor against the limit.
            room = max(0, max_parallel - len(self._active) + len(running))
            children = children[:room]
            room -= len(children)
        ready = self._ready.first(room, only_rescuers=bool(self._unhandled))
        if self._active or ready:
            return Decision(start=(*children, *ready), end=tuple(end))
        if self._unhandled:
            return Decision(final=ExecutionStatus.FAILED)
        return Decision(final=ExecutionStatus.COMPLETED_WITH_FAILURES if self._bad else ExecutionStatus.SUCCEEDED)


class _ReadySteps:
    """The steps that may start, in topological order; those that count against a limit apart from ForEach steps."""

    def __init__(self, graph: StepGraph, conditions: RunConditions) -> None:
        self._graph = graph
        self._conditions = conditions
        self._positions = {name: place for place, name in enumerate(graph.order)}
        # By whether they are free of the limit, and whether they are rescuers.
        self._places: dict[tuple[bool, bool], list[int]] = {}

    def add(self, name: str) -> None:
        insort(self._list_of(name), self._positions[name])

    def discard(self, name: str) -> None:
        places, place = self._list_of(name), self._positions[name]
        index = bisect_left(places, place)
        if places[index : index + 1] == [place]:
            del places[index]

    def first(self, room: int | None, *, only_rescuers: bool) -> list[str]:
        """As many as there is room for, ForEach steps besides; all of them where there is no limit."""
        wanted = (True,) if only_rescuers else (True, False)
        counted = heapq.merge(*(self._places.get((False, kind), ()) for kind in wanted))
        free = (self._places.get((True, kind), ()) for kind in wanted)
        return [self._graph.order[place] for place in heapq.merge(islice(counted, room), *free)]

    def _list_of(self, name: str) -> list[int]:
        is_free = isinstance(self._graph.nodes[name].step, ForEachStep)
        return self._places.setdefault((is_free, self._conditions.is_rescuer(name)), [])


def steps_to_reset(graph: StepGraph, statuses: Mapping[str, StepStatus]) -> tuple[str, ...]:
    """The steps RetryPipelineExecution runs again: those that failed or stopped, and whatever ran because of that."""
    reset = {name for name, status in statuses.items() if _is_bad(status)}
    work = list(reset)
    while work:
        followers = [name for name in graph.downstream(work.pop()) if name not in reset]
        reset.update(followers)
        work.extend(followers)
    return tuple(name for name in graph.order if name in reset and name in statuses)


def _is_bad(status: StepStatus) -> bool:
    return status in (StepStatus.FAILED, StepStatus.STOPPED)
