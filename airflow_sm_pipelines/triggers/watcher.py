"""Watches the executions of all waiting tasks of a triggerer on one connection, in one thread.

``ListPipelineExecutions`` answers for a hundred executions of a pipeline at once. Executions that a list does not show
are described one by one, so no end is missed.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.asking_threads import let_ask
from airflow_sm_pipelines.client.api_errors import needs_new_client
from airflow_sm_pipelines.client.execution_watch import UNREACHABLE_CODES, error_event, timeout_event
from airflow_sm_pipelines.client.reports import ExecutionReport, parse_execution_summary
from airflow_sm_pipelines.client.wait_policy import is_passing_refusal, plan_backoff, render_refused
from airflow_sm_pipelines.exceptions import (
    PipelineAccessError,
    PipelineApiError,
    PipelineNotFoundError,
    PipelineRequestError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.triggers.event_reliability import EventReliability
from airflow_sm_pipelines.triggers.rate_limit import RateLimit
from airflow_sm_pipelines.triggers.status_event_feed import QUEUE_EXTRA
from airflow_sm_pipelines.triggers.wait_schedule import ExecutionWait, WaitSchedule, WatchedPipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.client.status_events import StatusChange
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.status_event_feed import EventFeeds

MAX_SILENT_SECONDS = 900.0
"""How long an endpoint may be unreachable before every wait on it ends with an error."""

_PROGRESS_CALLS_PER_SECOND = 5.0
_CLIENT_RENEWAL_SECONDS = 60.0
_MARGIN = timedelta(seconds=2)

log = logging.getLogger(__name__)


class PipelineWatcher:
    """Watches executions through one hook, in a thread that runs while tasks wait.

    :param make_hook: makes the hook; called in the watcher's thread, and again when the service refuses credentials.
    :param feeds: the readers of event queues, for a connection that names one.
    """

    def __init__(self, make_hook: Callable[[], SageMakerPipelinesHook], *, feeds: EventFeeds | None = None) -> None:
        self._make_hook = make_hook
        self._hook: SageMakerPipelinesHook | None = None
        self._hook_made = 0.0
        self._changed = threading.Condition()
        self._schedule = WaitSchedule()
        self._rate_limit = RateLimit(now=time.monotonic())
        self._feeds = feeds
        self._reliability: EventReliability | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._silent_since: float | None = None
        self._progress_at = 0.0
        self._steps_seen: dict[str, tuple[tuple[str, str], ...]] = {}
        self._is_closing = self._is_warned = False
        self._thread = threading.Thread(target=let_ask(self._run), name="sm-pipelines-watcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def begin_close(self) -> None:
        """Tell the thread to end, without waiting for it."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()

    def close(self) -> None:
        """End the thread, and wait until it has ended; a call under way is waited for."""
        self.begin_close()
        self._thread.join()
        if self._unsubscribe is not None:
            self._unsubscribe()

    def add(self, wait: ExecutionWait) -> None:
        """Begin a wait."""
        with self._changed:
            if self._schedule.add(wait, now=time.monotonic()):
                self._changed.notify_all()
            if self._reliability is not None and self._reliability.record_wait(wait.arn):
                self._log_reliable()

    def remove(self, wait: ExecutionWait) -> None:
        """End a wait that no task needs any more."""
        with self._changed:
            self._schedule.remove(wait)
            if not self._schedule.is_awaited(wait.arn):
                self._steps_seen.pop(wait.arn, None)

    @property
    def is_empty(self) -> bool:
        """Whether no task waits."""
        with self._changed:
            return self._schedule.is_empty

    # --- called by the reader of events, in its thread ---------------------------------------------------------------

    def record_change(self, change: StatusChange) -> None:
        """Have the execution of an event checked. The event says where to look; only the API says what happened."""
        arn = change.execution_arn
        with self._changed:
            if self._reliability is None:
                return
            is_awaited = self._schedule.is_awaited(arn)
            if self._reliability.record_event(arn, is_end=change.is_end, is_awaited=is_awaited):
                self._log_reliable()
            if not is_awaited:
                return
            if change.step is not None:
                self._schedule.check_steps_now(arn, now=time.monotonic())
            elif change.is_end:
                self._schedule.announce_end(arn)
            self._changed.notify_all()

    def record_failure(self, reason: str) -> None:
        """Check executions as often as without events, until events come again."""
        with self._changed:
            if self._reliability is None:
                return
            is_first, self._is_warned = not self._is_warned, True
            if self._reliability.record_failure() or is_first:
                log.warning("No events: %s Executions are checked as often as without events.", reason)
                self._schedule.check_all_now(time.monotonic())
                self._changed.notify_all()

    def _log_reliable(self) -> None:
        self._is_warned = False
        log.info("Events of executions come: executions are checked rarely from now on.")

    def _listen(self, hook: SageMakerPipelinesHook) -> None:
        queue = hook.conn_config.extra_config.get(QUEUE_EXTRA)
        if not queue or self._feeds is None or self._unsubscribe is not None:
            return
        with self._changed:
            self._reliability = EventReliability()
        key = (hook.aws_conn_id, hook.conn_region_name)
        self._unsubscribe = self._feeds.subscribe(key, str(queue), self._make_hook, self)

    def _check_events(self, now: float) -> None:
        if self._reliability is not None and (arn := self._reliability.take_missing(now)) is not None:
            log.warning(
                "Execution %s has ended, but its event has not come: executions are checked as often as without "
                "events, until events come again.",
                arn,
            )
            self._schedule.check_all_now(now)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._await_work()) is not None:
            try:
                work()
            except Exception as error:
                # After a fault of our own, no task must wait for a thread that has ended.
                log.exception("The watcher broke off")
                self._end_all(type(error).__name__, f"The watcher broke off: {type(error).__name__}: {error}")

    def _await_work(self) -> Callable[[], None] | None:
        """Sleep until something is due, and give it; None when the watcher closes."""
        with self._changed:
            while not self._is_closing:
                now = time.monotonic()
                self._expire(now)
                self._check_events(now)
                pipeline = self._schedule.next_pipeline()
                if pipeline is None:
                    self._changed.wait()
                    continue
                pause = self._rate_limit.delay(now)
                work = self._take_work(pipeline, now) if pause <= 0 else None
                if work is not None:
                    return work
                self._changed.wait(max(self._next_moment(pipeline, now, pause) - now, 0.001))
        return None

    def _take_work(self, pipeline: WatchedPipeline, now: float) -> Callable[[], None] | None:
        """What is due now, the most urgent first; None if nothing is."""
        announced = self._schedule.take_announced()
        if announced is not None:
            return lambda: self._check_announced(*announced)
        if pipeline.due <= now:
            arns = list(pipeline.waits)
            pipeline.announced.clear()
            return lambda: self._check_pipeline(pipeline, arns)
        wait = self._schedule.take_steps_wait(now) if self._progress_at <= now else None
        return None if wait is None else lambda: self._check_steps(wait)

    def _next_moment(self, pipeline: WatchedPipeline, now: float, pause: float) -> float:
        """When something is due next."""
        calls = min(pipeline.due, max(self._schedule.next_steps_due(), self._progress_at))
        moments = [max(calls, now + pause), self._schedule.next_deadline()]
        if self._schedule.has_announced:
            moments.append(now + pause)
        if self._reliability is not None:
            moments.append(self._reliability.next_missing())
        return min(moments)

    def _expire(self, now: float) -> None:
        for wait in self._schedule.take_expired(now):
            wait.finish(timeout_event(wait.arn))

    def _check_pipeline(self, pipeline: WatchedPipeline, arns: list[str]) -> None:
        """Check every execution of a pipeline for which a task waits."""
        if self._check_executions(pipeline, arns):
            with self._changed:
                has_events = self._reliability is not None and self._reliability.is_proven
                self._schedule.plan_next_check(pipeline, now=time.monotonic(), has_events=has_events)

    def _check_announced(self, pipeline: WatchedPipeline, arns: list[str]) -> None:
        """Check the executions that have ended according to events."""
        if self._check_executions(pipeline, arns):
            with self._changed:
                self._schedule.plan_after_announced(pipeline, arns, now=time.monotonic())

    def _check_executions(self, pipeline: WatchedPipeline, arns: list[str]) -> bool:
        """Check executions of a pipeline, in lists while these save calls, else one by one; False without an answer."""
        missing = dict.fromkeys(arns)
        try:
            if len(missing) > 1 and pipeline.is_listable:
                self._check_by_list(pipeline, missing)
            for arn in list(missing):
                if self._is_closing:
                    return False
                self._check_one(pipeline, arn)
        except PipelineUnavailableError as error:
            self._unavailable(pipeline, error)
            return False
        return True

    def _check_by_list(self, pipeline: WatchedPipeline, missing: dict[str, None]) -> None:
        request: dict[str, Any] = {"PipelineName": pipeline.arn}
        with self._changed:
            started = [pipeline.started[arn] for arn in missing if arn in pipeline.started]
        if len(started) == len(missing):
            # Only when all are known: a new execution must not fall out of the window.
            request |= {"CreatedAfter": min(started) - _MARGIN, "CreatedBefore": max(started) + _MARGIN}
        token: str | None = None
        while True:
            try:
                with self._call() as hook:
                    items, token = hook.list_executions_page(token=token, **request)
            except (PipelineAccessError, PipelineNotFoundError, PipelineRequestError) as error:
                log.warning("Executions are checked one by one, since they cannot be listed: %s", error)
                pipeline.is_listable = isinstance(error, PipelineNotFoundError)
                return
            found = 0
            for item in items:
                arn = item["PipelineExecutionArn"]
                if arn in missing:
                    found += 1
                    del missing[arn]
                    self._record(pipeline, parse_execution_summary(item), item.get("StartTime"))
            if token is None or len(missing) <= 1 or found < 2 or self._is_closing:
                return

    def _check_one(self, pipeline: WatchedPipeline, arn: str) -> None:
        try:
            with self._call() as hook:
                report, started = hook.describe_execution_start(arn)
        except PipelineUnavailableError:
            raise
        except PipelineAccessError as error:
            if self._renew_old_hook() or is_passing_refusal(error, was_answered=pipeline.is_answered):
                pipeline.is_listable = True
                raise PipelineUnavailableError(str(error), code=error.code) from error
            self._end(arn, error_event(arn, code=error.code, message=str(error)))
        except PipelineApiError as error:
            self._end(arn, error_event(arn, code=error.code, message=str(error)))
        else:
            self._record(pipeline, report, started)

    def _renew_old_hook(self) -> bool:
        """Have the hook made anew, if it is old: its connection may have been given other credentials."""
        if time.monotonic() - self._hook_made <= _CLIENT_RENEWAL_SECONDS:
            return False
        self._hook = None
        return True

    def _check_steps(self, wait: ExecutionWait) -> None:
        self._progress_at = time.monotonic() + 1 / _PROGRESS_CALLS_PER_SECOND
        try:
            with self._call() as hook:
                steps = hook.describe_execution_steps(wait.arn)
        except PipelineApiError as error:
            log.info("The steps of %s could not be seen: %s", wait.arn, error)
            return
        states = tuple((step.name, step.status) for step in steps)
        # The first look shows no change: what has been quiet for hours must not look lively to a new triggerer.
        has_changed = self._steps_seen.get(wait.arn, states) != states
        with self._changed:
            waits = self._schedule.record_steps(wait.arn, has_changed=has_changed, now=time.monotonic())
            if waits:
                self._steps_seen[wait.arn] = states
        for one in waits:
            if one.report_progress is not None:
                one.report_progress(ExecutionReport(wait.arn, "Executing", steps=steps))

    def _record(self, pipeline: WatchedPipeline, report: ExecutionReport, started: Any) -> None:
        pipeline.is_answered = True
        if report.is_terminal:
            with self._changed:
                if self._reliability is not None and report.arn in pipeline.started:
                    self._reliability.record_end(report.arn, now=time.monotonic())
            self._end(report.arn, summary_event(report))
        else:
            with self._changed:
                self._schedule.record_running(pipeline, report.arn, started)

    def _end(self, arn: str, event: dict[str, Any]) -> None:
        with self._changed:
            ended = self._schedule.take(arn)
            self._steps_seen.pop(arn, None)
        for wait in ended:
            wait.finish(event)

    def _end_all(self, code: str, message: str) -> None:
        with self._changed:
            arns = self._schedule.arns()
        for arn in arns:
            self._end(arn, error_event(arn, code=code, message=message))

    @contextmanager
    def _call(self) -> Iterator[SageMakerPipelinesHook]:
        """Make one call when the rate limit allows it; its outcome changes the rate."""
        with self._changed:
            while (delay := self._rate_limit.delay(time.monotonic())) > 0 and not self._is_closing:
                self._changed.wait(delay)
            self._rate_limit.record_call(time.monotonic())
        if self._hook is None:
            self._hook, self._hook_made = self._make_hook(), time.monotonic()
            self._listen(self._hook)
        try:
            yield self._hook
        except PipelineUnavailableError as error:
            if error.code not in UNREACHABLE_CODES:
                self._rate_limit.record_throttling(time.monotonic())
            raise
        self._rate_limit.record_answer()
        self._silent_since = None

    def _unavailable(self, pipeline: WatchedPipeline, error: PipelineUnavailableError) -> None:
        now = time.monotonic()
        if error.code in UNREACHABLE_CODES:
            self._silent_since = now if self._silent_since is None else self._silent_since
            if now - self._silent_since > MAX_SILENT_SECONDS:
                text = f"{error} No answer for {MAX_SILENT_SECONDS / 60:.0f} minutes: executions may still be running."
                self._end_all(error.code, text)
                self._silent_since = None
                return
        else:
            self._silent_since = None
            if needs_new_client(error):
                self._renew_old_hook()
        with self._changed:
            delay = plan_backoff(failures=min(pipeline.failures, 4), waiter_delay=1)
            self._schedule.plan_after_refusal(pipeline, delay_seconds=delay, now=now)
            ended = self._schedule.take_refused(pipeline, now=now)
        for wait, seconds in ended:
            wait.finish(error_event(wait.arn, code=error.code, message=render_refused(error, seconds=seconds)))
        log.warning(
            "%s Checking again in %.0f s, with at most %.1f calls a second.", error, delay, self._rate_limit.rate
        )


def summary_event(report: ExecutionReport) -> dict[str, Any]:
    """The event of an execution that has ended, without its steps: the task reads them when it goes on."""
    event = {"kind": "ended", **report.to_json()}
    del event["steps"]
    return event
