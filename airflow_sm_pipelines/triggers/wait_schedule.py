"""Who waits for which execution, and which pipeline is to be looked at when: the books of a watcher.

Pure: no call, no clock, no thread. :mod:`airflow_sm_pipelines.triggers.watcher` acts on it.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.wait_policy import plan_delay

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

GATHER_SECONDS = 0.5
"""A new wait is looked at this soon; waits that begin together share the look."""

SAFETY_LOOKS = 10
"""How many of an author's intervals lie between two looks while events say when to look."""

MAX_SAFETY_SECONDS = 600.0
"""What lies between them at most, unless the author's interval is longer."""

QUICK_LOOKS_PER_SECOND = 0.5
"""Looks that are sooner than an author's ``waiter_delay`` asks for, so that a short execution is noticed at once."""


@dataclass(slots=True, eq=False)
class Wait:
    """One task's wait for one execution.

    :param arn: the execution.
    :param waiter_delay: seconds between two looks at it.
    :param finish: told the one event.
    :param deadline: when to give up, on the watcher's clock; None for never.
    :param progress_delay: seconds between two looks at its steps; None for never.
    :param report_progress: told what each look at its steps found.
    """

    arn: str
    waiter_delay: float
    finish: Callable[[dict[str, Any]], None]
    deadline: float | None = None
    progress_delay: float | None = None
    report_progress: Callable[[Any], None] | None = None
    began: float = 0.0
    progress_due: float = 0.0


@dataclass(slots=True)
class WatchedPipeline:
    """The executions of one pipeline that somebody waits for.

    :param waits: by execution ARN; several tasks may wait for one execution.
    :param started: when an execution started, once the service has said it.
    :param told: executions that an event says have ended.
    :param due: when to look next.
    :param is_listable: False once the service has refused to list its executions.
    :param failures: refused looks in a row.
    """

    arn: str
    waits: dict[str, list[Wait]] = field(default_factory=dict)
    started: dict[str, datetime] = field(default_factory=dict)
    told: dict[str, None] = field(default_factory=dict)
    due: float = 0.0
    is_listable: bool = True
    failures: int = 0

    def youngest(self) -> float:
        """When the newest wait began."""
        return max(wait.began for waits in self.waits.values() for wait in waits)

    def waiter_delay(self) -> float:
        """The shortest interval that anybody asks for."""
        return min(wait.waiter_delay for waits in self.waits.values() for wait in waits)


class WatchBoard:
    """The waits of one watcher."""

    def __init__(self) -> None:
        """Begin with none."""
        self._pipelines: dict[str, WatchedPipeline] = {}
        self._deadlines: list[tuple[float, int, Wait]] = []
        self._count = 0
        self._progress: dict[Wait, None] = {}

    def __len__(self) -> int:
        """How many tasks wait."""
        return sum(len(waits) for pipeline in self._pipelines.values() for waits in pipeline.waits.values())

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        return not self._pipelines

    def add(self, wait: Wait, *, now: float) -> bool:
        """Begin a wait: its pipeline is looked at soon, since the execution may have ended already.

        :return: whether there is now something to do earlier than before.
        """
        before = self._next_moment()
        arn = parse_pipeline_arn(wait.arn)
        pipeline = self._pipelines.get(arn)
        if pipeline is None:
            pipeline = self._pipelines[arn] = WatchedPipeline(arn, due=now + GATHER_SECONDS)
        pipeline.due = min(pipeline.due, now + GATHER_SECONDS)
        wait.began = wait.progress_due = now
        pipeline.waits.setdefault(wait.arn, []).append(wait)
        if wait.deadline is not None:
            self._count += 1
            heapq.heappush(self._deadlines, (wait.deadline, self._count, wait))
        if wait.progress_delay is not None:
            self._progress[wait] = None
        return self._next_moment() < before

    def remove(self, wait: Wait) -> bool:
        """End a wait; False if it had ended."""
        pipeline = self._pipelines.get(parse_pipeline_arn(wait.arn))
        waits = pipeline.waits.get(wait.arn) if pipeline else None
        if pipeline is None or waits is None or wait not in waits:
            return False
        waits.remove(wait)
        self._progress.pop(wait, None)
        if not waits:
            del pipeline.waits[wait.arn]
            pipeline.started.pop(wait.arn, None)
            pipeline.told.pop(wait.arn, None)
        if not pipeline.waits:
            del self._pipelines[pipeline.arn]
        return True

    def take(self, arn: str) -> list[Wait]:
        """End every wait for an execution, and give them."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        found = list(pipeline.waits.get(arn, ())) if pipeline else []
        for wait in found:
            self.remove(wait)
        return found

    def take_expired(self, now: float) -> list[Wait]:
        """End the waits whose time is over, and give them."""
        found = []
        while self._deadlines and self._deadlines[0][0] <= now:
            wait = heapq.heappop(self._deadlines)[2]
            if self.remove(wait):
                found.append(wait)
        return found

    def arns(self) -> list[str]:
        """Every execution that is waited for."""
        return [arn for pipeline in self._pipelines.values() for arn in pipeline.waits]

    def next_pipeline(self) -> WatchedPipeline | None:
        """The pipeline that is to be looked at first."""
        return min(self._pipelines.values(), key=lambda pipeline: pipeline.due, default=None)

    def is_awaited(self, arn: str) -> bool:
        """Whether anybody waits for an execution."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        return pipeline is not None and arn in pipeline.waits

    def tell(self, arn: str) -> None:
        """Note that an event says that an execution has ended: it is to be looked at now."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        if pipeline is not None and arn in pipeline.waits:
            pipeline.told[arn] = None

    @property
    def has_told(self) -> bool:
        """Whether :meth:`take_told` has any."""
        return any(pipeline.told and not pipeline.failures for pipeline in self._pipelines.values())

    def take_told(self) -> tuple[WatchedPipeline, list[str]] | None:
        """Executions of one pipeline that are to be looked at now.

        One whose last look was refused is looked at as a whole when it is due.
        """
        for pipeline in self._pipelines.values():
            if pipeline.told and not pipeline.failures:
                arns = list(pipeline.told)
                pipeline.told.clear()
                return pipeline, arns
        return None

    def look_soon(self, now: float) -> None:
        """Have every pipeline looked at now, except where looks are refused."""
        for pipeline in self._pipelines.values():
            if not pipeline.failures:
                pipeline.due = min(pipeline.due, now)

    def next_progress(self, now: float) -> Wait | None:
        """The wait whose steps are most overdue for a look."""
        due = [wait for wait in self._progress if wait.progress_due <= now]
        return min(due, key=lambda wait: wait.progress_due, default=None)

    def saw(self, pipeline: WatchedPipeline, arn: str, started: datetime | None) -> None:
        """Note that an execution was seen running; it goes to the end of its queue."""
        waits = pipeline.waits.pop(arn, None)
        if waits is not None:
            pipeline.waits[arn] = waits
            if started is not None:
                pipeline.started[arn] = started

    def curious(self, arn: str) -> list[Wait]:
        """The waits that want to know an execution's steps."""
        pipeline = self._pipelines.get(parse_pipeline_arn(arn))
        waits = pipeline.waits.get(arn, ()) if pipeline else ()
        return [wait for wait in waits if wait.progress_delay is not None]

    def next_progress_due(self) -> float:
        """When the next look at steps is due; infinity for never."""
        return min((wait.progress_due for wait in self._progress), default=inf)

    def next_deadline(self) -> float:
        """When the next wait's time is over, or was; infinity for never."""
        return self._deadlines[0][0] if self._deadlines else inf

    def _next_moment(self) -> float:
        due = min((pipeline.due for pipeline in self._pipelines.values()), default=inf)
        return min(due, self.next_progress_due(), self.next_deadline())

    def looked(self, pipeline: WatchedPipeline, *, now: float, has_events: bool = False) -> None:
        """Plan the next look, after an answered one at all its executions.

        A young execution is looked at sooner than its author's interval, but all such looks together stay under
        :data:`QUICK_LOOKS_PER_SECOND`. Where events say when to look, looks are only for what they might miss.
        """
        pipeline.failures = 0
        if not pipeline.waits:
            return
        delay = pipeline.waiter_delay()
        if has_events:
            pipeline.due = now + max(min(SAFETY_LOOKS * delay, MAX_SAFETY_SECONDS), delay)
            return
        quick = plan_delay(elapsed_seconds=now - pipeline.youngest(), waiter_delay=delay)
        share = len(self._pipelines) / QUICK_LOOKS_PER_SECOND
        pipeline.due = now + min(delay, max(quick, share))

    def looked_at_told(self, pipeline: WatchedPipeline, arns: list[str], *, now: float) -> None:
        """Plan the next look, after one at executions of which events said that they had ended.

        Those that had not, in the API's eyes, are looked at again after the author's interval.
        """
        if any(arn in pipeline.waits for arn in arns):
            pipeline.due = min(pipeline.due, now + pipeline.waiter_delay())

    def hasten_progress(self, arn: str, *, now: float) -> None:
        """Have an execution's steps looked at now, if anybody wants to know them."""
        for wait in self.curious(arn):
            wait.progress_due = min(wait.progress_due, now)

    def refused(self, pipeline: WatchedPipeline, *, delay_seconds: float, now: float) -> None:
        """Plan the next look, after one that got no answer."""
        pipeline.failures += 1
        pipeline.due = now + delay_seconds


def parse_pipeline_arn(execution_arn: str) -> str:
    """The pipeline's ARN in an execution's: ``arn:…:pipeline/<name>``."""
    return execution_arn.partition("/execution/")[0]
