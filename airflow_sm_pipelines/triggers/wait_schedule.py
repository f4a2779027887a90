"""Which tasks wait for which executions, and when a watcher checks which pipeline next.

Pure: no call, no clock, no thread. :mod:`airflow_sm_pipelines.triggers.watcher` makes the calls.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.client.wait_policy import plan_delay

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

GATHER_SECONDS = 0.5
"""How soon an execution is checked after a wait for it begins; waits that begin together share the check."""

SAFETY_INTERVALS = 10
"""How many of an author's intervals lie between two checks while events say when to check."""

MAX_SAFETY_SECONDS = 600.0
"""The most seconds between two such checks, unless the author's interval is longer."""

EARLY_CHECKS_PER_SECOND = 0.5
"""New executions are checked earlier than their author's ``waiter_delay`` asks for, up to so many calls a second."""


@dataclass(slots=True, eq=False)
class ExecutionWait:
    """One task's wait for one execution.

    :param arn: the execution.
    :param waiter_delay: seconds between two checks of it.
    :param finish: called with the one event.
    :param deadline: when to give up, on the watcher's clock; None for never.
    :param progress_delay: seconds between two checks of its steps; None for never.
    :param report_progress: called with a report after each check of its steps.
    :param max_refused_seconds: how long it is borne that each check is refused.
    :param began: when it began, on the watcher's clock.
    :param progress_due: when its steps are due for a check.
    :param has_changed: whether the last check of its steps, or an event, has shown a change; true before the first.
    """

    arn: str
    waiter_delay: float
    finish: Callable[[dict[str, Any]], None]
    deadline: float | None = None
    progress_delay: float | None = None
    report_progress: Callable[[Any], None] | None = None
    max_refused_seconds: float = MAX_REFUSED_SECONDS
    began: float = 0.0
    progress_due: float = 0.0
    has_changed: bool = True


@dataclass(slots=True)
class WatchedPipeline:
    """The executions of one pipeline for which tasks wait.

    :param waits: by execution ARN; several tasks may wait for one execution.
    :param started: when an execution started, once the service has said it.
    :param announced: executions that have ended according to an event.
    :param due: when to check next.
    :param is_listable: False once the service has refused to list its executions.
    :param failures: checks in a row that the service has refused.
    :param refused_since: when the first of them was, on the watcher's clock; None where the last check was answered.
    :param is_answered: whether any check of its executions has been answered.
    """

    arn: str
    waits: dict[str, list[ExecutionWait]] = field(default_factory=dict)
    started: dict[str, datetime] = field(default_factory=dict)
    announced: dict[str, None] = field(default_factory=dict)
    due: float = 0.0
    is_listable: bool = True
    failures: int = 0
    refused_since: float | None = None
    is_answered: bool = False

    def youngest(self) -> float:
        """When the newest wait began."""
        return max(wait.began for waits in self.waits.values() for wait in waits)

    def waiter_delay(self) -> float:
        """The shortest interval that a wait asks for."""
        return min(wait.waiter_delay for waits in self.waits.values() for wait in waits)


class StepsQueue:
    """The waits that are told of their executions' steps, by when these are due for a check.

    Where more are due than can be checked, every second check is of an execution that has changed lately; the others
    share the rest, the longest due first, so that none is forgotten.
    """

    def __init__(self) -> None:
        self._waits: dict[ExecutionWait, None] = {}
        self._heaps: dict[bool, list[tuple[float, int, ExecutionWait]]] = {True: [], False: []}
        self._count = 0
        self._is_turn_of_changed = True

    def put(self, wait: ExecutionWait, *, due: float) -> None:
        """Have a wait's steps checked at this time, and not at the one planned before."""
        wait.progress_due = due
        self._waits[wait] = None
        self._count += 1
        heapq.heappush(self._heaps[wait.has_changed], (due, self._count, wait))

    def discard(self, wait: ExecutionWait) -> None:
        """Check a wait's steps no more."""
        self._waits.pop(wait, None)

    def next_due(self) -> float:
        """When the next check is due; infinity for never."""
        return min(self._first(True)[0], self._first(False)[0])

    def take(self, now: float) -> ExecutionWait | None:
        """A wait whose check is due now. It is due again after its own delay, unless :meth:`put` says otherwise."""
        first = self._is_turn_of_changed
        for has_changed in (first, not first):
            due, wait = self._first(has_changed)
            if wait is not None and due <= now:
                self._is_turn_of_changed = not has_changed
                self.put(wait, due=now + (wait.progress_delay or 0))
                return wait
        return None

    def _first(self, has_changed: bool) -> tuple[float, ExecutionWait | None]:
        heap = self._heaps[has_changed]
        while heap:
            due, _, wait = heap[0]
            if wait in self._waits and wait.progress_due == due and wait.has_changed is has_changed:
                return due, wait
            heapq.heappop(heap)
        return inf, None


class WaitSchedule:
    """The waits of one watcher, and when to check what they wait for."""

    def __init__(self) -> None:
        self._pipelines: dict[str, WatchedPipeline] = {}
        self._deadlines: list[tuple[float, int, ExecutionWait]] = []
        self._count = 0
        self._steps = StepsQueue()

    def __len__(self) -> int:
        """How many tasks wait."""
        return sum(len(waits) for pipeline in self._pipelines.values() for waits in pipeline.waits.values())

    @property
    def is_empty(self) -> bool:
        """Whether no task waits."""
        return not self._pipelines

    def add(self, wait: ExecutionWait, *, now: float) -> bool:
        """Begin a wait; its pipeline is checked soon, since the execution may have ended already.

        :return: whether there is now something to do earlier than before.
        """
        before = self._next_moment()
        arn = parse_pipeline_arn(wait.arn)
        pipeline = self._pipelines.get(arn)
        if pipeline is None:
            pipeline = self._pipelines[arn] = WatchedPipeline(arn, due=now + GATHER_SECONDS)
        pipeline.due = min(pipeline.due, now + GATHER_SECONDS)
        wait.began = now
        pipeline.waits.setdefault(wait.arn, []).append(wait)
        if wait.deadline is not None:
            self._count += 1
            heapq.heappush(self._deadlines, (wait.deadline, self._count, wait))
        if wait.progress_delay is not None:
            self._steps.put(wait, due=now)
        return self._next_moment() < before

    def remove(self, wait: ExecutionWait) -> bool:
        """End a wait; False if it has ended already."""
        pipeline = self._pipelines.get(parse_pipeline_arn(wait.arn))
        waits = pipeline.waits.get(wait.arn) if pipeline else None
        if pipeline is None or waits is None or wait not in waits:
            return False
        waits.remove(wait)
        self._steps.discard(wait)
        if not waits:
            del pipeline.waits[wait.arn]
            pipeline.started.pop(wait.arn, None)
            pipeline.announced.pop(wait.arn, None)
        if not pipeline.waits:
            del self._pipelines[pipeline.arn]
        return True

    def take(self, arn: str) -> list[ExecutionWait]:
        """End every wait for an execution, and give them."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        found = list(pipeline.waits.get(arn, ())) if pipeline else []
        for wait in found:
            self.remove(wait)
        return found

    def take_expired(self, now: float) -> list[ExecutionWait]:
        """End the waits whose time is over, and give them."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            wait = heapq.heappop(self._deadlines)[2]
            if self.remove(wait):
                found.append(wait)
        return found

    def arns(self) -> list[str]:
        """Every execution for which a task waits."""
        return [arn for pipeline in self._pipelines.values() for arn in pipeline.waits]

    def next_pipeline(self) -> WatchedPipeline | None:
        """The pipeline whose check is due first."""
        return min(self._pipelines.values(), key=lambda pipeline: pipeline.due, default=None)

    def is_awaited(self, arn: str) -> bool:
        """Whether a task waits for an execution."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        return pipeline is not None and arn in pipeline.waits

    def announce_end(self, arn: str) -> None:
        """Have an execution checked now, because an event says that it has ended."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        if pipeline is not None and arn in pipeline.waits:
            pipeline.announced[arn] = None

    @property
    def has_announced(self) -> bool:
        """Whether :meth:`take_announced` would give any."""
        return any(pipeline.announced and not pipeline.failures for pipeline in self._pipelines.values())

    def take_announced(self) -> tuple[WatchedPipeline, list[str]] | None:
        """Executions of one pipeline that are to be checked now, because events say that they have ended.

        A pipeline whose last check was refused is left out; all its executions are checked when it is due.
        """
        for pipeline in self._pipelines.values():
            if pipeline.announced and not pipeline.failures:
                arns = list(pipeline.announced)
                pipeline.announced.clear()
                return pipeline, arns
        return None

    def check_all_now(self, now: float) -> None:
        """Have every pipeline checked now, except those whose last check was refused."""
        for pipeline in self._pipelines.values():
            if not pipeline.failures:
                pipeline.due = min(pipeline.due, now)

    def take_steps_wait(self, now: float) -> ExecutionWait | None:
        """A wait whose steps are due for a check; it is due again after its own delay."""
        return self._steps.take(now)

    def record_steps(self, arn: str, *, has_changed: bool, now: float) -> list[ExecutionWait]:
        """Note a check of an execution's steps, and give the waits that are told of them."""
        waits = self.waits_for_steps(arn)
        for wait in waits:
            wait.has_changed = has_changed
            self._steps.put(wait, due=now + (wait.progress_delay or 0))
        return waits

    def record_running(self, pipeline: WatchedPipeline, arn: str, started: datetime | None) -> None:
        """Note that a check has found an execution running; the pipeline's others are checked before it next time."""
        waits = pipeline.waits.pop(arn, None)
        if waits is not None:
            pipeline.waits[arn] = waits
            if started is not None:
                pipeline.started[arn] = started

    def waits_for_steps(self, arn: str) -> list[ExecutionWait]:
        """The waits for an execution that are told of its steps."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        waits = pipeline.waits.get(arn, ()) if pipeline else ()
        return [wait for wait in waits if wait.progress_delay is not None]

    def next_steps_due(self) -> float:
        """When the next check of steps is due; infinity for never."""
        return self._steps.next_due()

    def next_deadline(self) -> float:
        """When the next wait's time is over, or was; infinity for never."""
        return self._deadlines[0][0] if self._deadlines else inf

    def _next_moment(self) -> float:
        due = min((pipeline.due for pipeline in self._pipelines.values()), default=inf)
        return min(due, self.next_steps_due(), self.next_deadline())

    def plan_next_check(self, pipeline: WatchedPipeline, *, now: float, has_events: bool = False) -> None:
        """Plan the next check of a pipeline, after one of all its executions.

        A new execution is checked earlier than its author's interval, but all such checks together stay under
        :data:`EARLY_CHECKS_PER_SECOND`. Where events say when to check, the other checks only make up for lost events.

        :param has_events: whether events can be relied on.
        """
        pipeline.failures, pipeline.refused_since = 0, None
        if not pipeline.waits:
            return
        delay = pipeline.waiter_delay()
        if has_events:
            pipeline.due = now + max(min(SAFETY_INTERVALS * delay, MAX_SAFETY_SECONDS), delay)
            return
        early = plan_delay(elapsed_seconds=now - pipeline.youngest(), waiter_delay=delay)
        share = len(self._pipelines) / EARLY_CHECKS_PER_SECOND
        pipeline.due = now + min(delay, max(early, share))

    def plan_after_announced(self, pipeline: WatchedPipeline, arns: list[str], *, now: float) -> None:
        """Plan the next check, after one of executions that had ended according to events.

        If the API says that some are still running, the pipeline is checked again after the author's interval.
        """
        if any(arn in pipeline.waits for arn in arns):
            pipeline.due = min(pipeline.due, now + pipeline.waiter_delay())

    def check_steps_now(self, arn: str, *, now: float) -> None:
        """Have an execution's steps checked now, if a wait is told of them."""
        for wait in self.waits_for_steps(arn):
            wait.has_changed = True
            self._steps.put(wait, due=min(wait.progress_due, now))

    def plan_after_refusal(self, pipeline: WatchedPipeline, *, delay_seconds: float, now: float) -> None:
        """Plan the next check, after one that the service has refused."""
        pipeline.failures += 1
        pipeline.refused_since = now if pipeline.refused_since is None else pipeline.refused_since
        pipeline.due = now + delay_seconds

    def take_refused(self, pipeline: WatchedPipeline, *, now: float) -> list[tuple[ExecutionWait, float]]:
        """End the waits that have been refused for as long as they bear it; each with how long, in seconds."""
        since = now if pipeline.refused_since is None else pipeline.refused_since
        waits = [wait for waits in pipeline.waits.values() for wait in waits]
        found = [(wait, now - max(since, wait.began)) for wait in waits]
        found = [(wait, seconds) for wait, seconds in found if seconds >= wait.max_refused_seconds]
        for wait, _ in found:
            self.remove(wait)
        return found


def parse_pipeline_arn(execution_arn: str) -> str:
    """The pipeline's ARN in an execution's: ``arn:…:pipeline/<name>``."""
    return execution_arn.partition("/execution/")[0]
