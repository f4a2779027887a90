"""What an execution does next: from the graph and the steps' statuses to starts, stops and the final status.

All rules of running are here:

* A step starts when each of its dependencies ended as its trigger says (``Completed`` means Succeeded) and, inside a
  Condition's branch, when the Condition took that branch.
* A step that waits for something that can no longer happen never starts: the branch not taken, and whatever depends
  on it. A step that depends on a Condition step waits for its evaluation, not for its branches.
* A Failed or Stopped step is *handled* if a step with a matching trigger (``Failed``, ``Stopped``, ``Any``) runs or
  still may. An unhandled failure blocks: running steps finish, and nothing new starts except steps with such a trigger
  and what depends on these. (Whether the service still starts independent branches is not documented; this is our
  choice.)
* A ForEach step that runs starts the steps it made for its items, by these same rules, and ends when none of them is
  left to do. It does not count as active or against a limit; its steps do.
* The final status is Stopped if a stop was requested, Failed if a failure was unhandled, CompletedWithFailures if all
  failures were handled (SDK v3, ``StepDependency``), else Succeeded.

A :class:`Schedule` takes in one status after the other, so the cost of each does not grow with the graph. Which steps
are ready is decided in :mod:`~airflow_sm_pipelines.engine.rules.step_readiness`.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ForEachStep
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.rules.step_readiness import FailureHandlers, StepReadiness

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import StepGraph
    from airflow_sm_pipelines.engine.rules.fan_out import FanOut


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of an execution.

    :param statuses: the status of every step that was scheduled.
    :param outcomes: what each evaluated Condition step found.
    :param stop_requested: whether StopPipelineExecution was called.
    :param selected: the only steps that may start (selective execution); None means all.
    :param max_parallel: how many steps may be active at once; None means no limit.
    :param fan_outs: the ForEach steps that run, by name; ``statuses`` has the statuses of their steps too.
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

    :param start: the steps to start.
    :param stop: the active steps to stop.
    :param end: the ForEach steps whose iterations are over, and how they end.
    :param final: the final status of the execution, once nothing is left to do.
    """

    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    end: tuple[tuple[str, StepStatus], ...] = ()
    final: ExecutionStatus | None = None


def decide(graph: StepGraph, snapshot: Snapshot) -> Decision:
    """The next actions of an execution; the same snapshot always gives the same decision.

    Starts are in topological order, so with a limit the steps declared first start first.
    """
    schedule = Schedule(graph, statuses=snapshot.statuses, outcomes=snapshot.outcomes, selected=snapshot.selected)
    for name, fan_out in snapshot.fan_outs.items():
        schedule.add_fan_out(name, fan_out)
    return schedule.decide(stop_requested=snapshot.stop_requested, max_parallel=snapshot.max_parallel)


class Schedule:
    """The steps of one execution and their statuses, as they change.

    :param statuses: the status of every step that was scheduled, including the steps of ForEach steps.
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
        # Dictionaries without values are sets that keep their order.
        self._active = {name: None for name, status in statuses.items() if not status.is_terminal}
        self._fan_outs: dict[str, Schedule] = {}
        self._limits: dict[str, int] = {}
        self._parents: dict[str, str] = {}
        self._handlers = FailureHandlers(graph)
        self._readiness = StepReadiness(graph, self._statuses, dict(outcomes), selected)
        self._failed = {name: None for name, status in statuses.items() if _is_failure(status) and name in graph.nodes}
        self._unhandled = {name for name in self._failed if not self._is_handled(name)}
        self._ready = _ReadySteps(graph, self._handlers)
        for name in self._readiness.take_ready():
            self._ready.add(name)
        self._readiness.take_unreachable()

    @property
    def statuses(self) -> Mapping[str, StepStatus]:
        """The status of every step that was scheduled."""
        return self._statuses

    def set_outcome(self, name: str, *, is_true: bool) -> None:
        """Record what a Condition step found. Call it before the status of the step's end is set."""
        self._readiness.note_outcome(name, is_true=is_true)

    def set_status(self, name: str, status: StepStatus) -> None:
        """Record the status of a step.

        :raises ValueError: the step had ended. A retried execution needs a new schedule.
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
            self._fan_outs[parent].set_status(name, status)
        elif name in self._graph.nodes:
            if old is None:
                self._ready.discard(name)
                self._readiness.note_start(name)
            if status.is_terminal:
                self._note_end(name, status)

    def _note_end(self, name: str, status: StepStatus) -> None:
        if _is_failure(status):
            self._failed[name] = None
        self._readiness.note_end(name)
        if name in self._failed and not self._is_handled(name):
            self._unhandled.add(name)
        for ready in self._readiness.take_ready():
            self._ready.add(ready)
        for unreachable in self._readiness.take_unreachable():
            for failed in self._handlers.handled_by(unreachable):
                if failed in self._failed and not self._is_handled(failed):
                    self._unhandled.add(failed)

    def _is_handled(self, name: str) -> bool:
        status = self._statuses[name]
        return any(not self._readiness.is_unreachable(one) for one in self._handlers.handlers(name, status))

    def add_fan_out(self, name: str, fan_out: FanOut) -> None:
        """Add the steps that a ForEach step made for its items."""
        statuses = {child: self._statuses[child] for child in fan_out.graph.order if child in self._statuses}
        self._fan_outs[name] = Schedule(fan_out.graph, statuses=statuses, outcomes={})
        self._limits[name] = fan_out.max_concurrency
        self._parents.update(dict.fromkeys(fan_out.graph.nodes, name))

    def decide(self, *, stop_requested: bool = False, max_parallel: int | None = None) -> Decision:
        """The next actions, by the rules at the top of this module."""
        running = [name for name in self._fan_outs if not self._statuses[name].is_terminal]
        if stop_requested:
            stop = tuple(name for name in self._active if self._statuses[name] is not StepStatus.STOPPING)
            ended = tuple((name, StepStatus.STOPPED) for name in running if not self._fan_outs[name]._active)
            return Decision(stop=stop, end=ended, final=None if self._active else ExecutionStatus.STOPPED)
        children: list[str] = []
        end: list[tuple[str, StepStatus]] = []
        for name in running:
            inner = self._fan_outs[name].decide(max_parallel=self._limits[name])
            children.extend(inner.start)
            if inner.final is not None:
                failed = inner.final is ExecutionStatus.FAILED
                end.append((name, StepStatus.FAILED if failed else StepStatus.SUCCEEDED))
        free: int | None = None
        if max_parallel is not None:
            # ForEach steps that have their items do not count.
            free = max(0, max_parallel - len(self._active) + len(running))
            children = children[:free]
            free -= len(children)
        ready = self._ready.first(free, only_recoveries=bool(self._unhandled))
        if self._active or ready:
            return Decision(start=(*children, *ready), end=tuple(end))
        if self._unhandled:
            return Decision(final=ExecutionStatus.FAILED)
        return Decision(final=ExecutionStatus.COMPLETED_WITH_FAILURES if self._failed else ExecutionStatus.SUCCEEDED)


class _ReadySteps:
    """The steps that may start, in topological order. ForEach steps, which no limit holds, are kept apart."""

    def __init__(self, graph: StepGraph, handlers: FailureHandlers) -> None:
        self._graph = graph
        self._handlers = handlers
        self._index_of = {name: index for index, name in enumerate(graph.order)}
        # Indexes in the graph's order, by whether the step is a ForEach step and whether it is a recovery.
        self._indexes: dict[tuple[bool, bool], list[int]] = {}

    def add(self, name: str) -> None:
        insort(self._list_of(name), self._index_of[name])

    def discard(self, name: str) -> None:
        indexes, index = self._list_of(name), self._index_of[name]
        position = bisect_left(indexes, index)
        if indexes[position : position + 1] == [index]:
            del indexes[position]

    def first(self, limit: int | None, *, only_recoveries: bool) -> list[str]:
        """The first steps, as many as the limit allows, and all ForEach steps."""
        kinds = (True,) if only_recoveries else (True, False)
        limited = heapq.merge(*(self._indexes.get((False, kind), ()) for kind in kinds))
        for_each = (self._indexes.get((True, kind), ()) for kind in kinds)
        return [self._graph.order[index] for index in heapq.merge(islice(limited, limit), *for_each)]

    def _list_of(self, name: str) -> list[int]:
        is_for_each = isinstance(self._graph.nodes[name].step, ForEachStep)
        return self._indexes.setdefault((is_for_each, self._handlers.is_recovery(name)), [])


def steps_to_reset(graph: StepGraph, statuses: Mapping[str, StepStatus]) -> tuple[str, ...]:
    """The steps that RetryPipelineExecution runs again: those that failed or stopped, and all that follow them."""
    reset = {name for name, status in statuses.items() if _is_failure(status)}
    work = list(reset)
    while work:
        followers = [name for name in graph.downstream(work.pop()) if name not in reset]
        reset.update(followers)
        work.extend(followers)
    return tuple(name for name in graph.order if name in reset and name in statuses)


def _is_failure(status: StepStatus) -> bool:
    return status in (StepStatus.FAILED, StepStatus.STOPPED)
