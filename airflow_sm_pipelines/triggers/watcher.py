"""One watcher for all the waiting tasks of a triggerer on one connection: a thread, a few list calls, many waits.

A trigger of its own for each execution needs two calls and a client each; here ``ListPipelineExecutions`` answers for a
hundred executions of a pipeline at once. What a list does not show is described one by one, so no end is missed.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.execution_watch import UNREACHABLE_CODES, error_event
from airflow_sm_pipelines.client.reports import ExecutionReport, parse_execution_summary
from airflow_sm_pipelines.client.wait_policy import plan_backoff
from airflow_sm_pipelines.exceptions import (
    PipelineAccessError,
    PipelineApiError,
    PipelineNotFoundError,
    PipelineRequestError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.triggers.event_trust import EventTrust
from airflow_sm_pipelines.triggers.rate_limit import CallPace
from airflow_sm_pipelines.triggers.status_event_feed import EXTRA
from airflow_sm_pipelines.triggers.wait_schedule import Wait, WatchBoard, WatchedPipeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.client.status_events import StatusChange
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.status_event_feed import EventFeeds

MAX_SILENT_SECONDS = 900.0
"""How long an endpoint may be unreachable before every wait on it ends with an error."""

_PROGRESS_CALLS_PER_SECOND = 5.0
_CLIENT_RENEWAL_SECONDS = 60.0
_MARGIN = timedelta(seconds=2)

log = logging.getLogger(__name__)


class PipelineWatcher:
    """Watches executions through one hook, in a thread that lives as long as somebody waits.

    :param make_hook: makes the hook; called in the watcher's thread, and again when credentials were refused.
    :param feeds: the readers of event queues, for a connection that names one.
    """

    def __init__(self, make_hook: Callable[[], SageMakerPipelinesHook], *, feeds: EventFeeds | None = None) -> None:
        """Call nothing; the thread starts with the first wait."""
        self._make_hook = make_hook
        self._hook: SageMakerPipelinesHook | None = None
        self._hook_made = 0.0
        self._changed = threading.Condition()
        self._board = WatchBoard()
        self._pace = CallPace(now=time.monotonic())
        self._feeds = feeds
        self._trust: EventTrust | None = None
        self._unsubscribe: Callable[[], None] | None = None
        self._silent_since: float | None = None
        self._progress_at = 0.0
        self._is_closing = self._is_warned = False
        self._thread = threading.Thread(target=self._run, name="sm-pipelines-watcher", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """End the thread, and wait until it has ended; a call under way is waited for."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        self._thread.join()
        if self._unsubscribe is not None:
            self._unsubscribe()

    def add(self, wait: Wait) -> None:
        """Begin a wait."""
        with self._changed:
            if self._board.add(wait, now=time.monotonic()):
                self._changed.notify_all()
            if self._trust is not None and self._trust.began(wait.arn):
                self._say_trusted()

    def remove(self, wait: Wait) -> None:
        """End a wait that nobody needs any more."""
        with self._changed:
            self._board.remove(wait)

    @property
    def is_empty(self) -> bool:
        """Whether nobody waits."""
        with self._changed:
            return self._board.is_empty

    # --- what the reader of events says, in its thread ---------------------------------------------------------------

    def changed(self, change: StatusChange) -> None:
        """Take note of an event: it says where to look, never what there is."""
        arn = change.execution_arn
        with self._changed:
            if self._trust is None:
                return
            is_awaited = self._board.is_awaited(arn)
            if self._trust.came(arn, is_end=change.is_end, is_awaited=is_awaited):
                self._say_trusted()
            if not is_awaited:
                return
            if change.step is not None:
                self._board.hasten_progress(arn, now=time.monotonic())
            elif change.is_end:
                self._board.tell(arn)
            self._changed.notify_all()

    def events_failed(self, reason: str) -> None:
        """Look as often as without events, until they come again."""
        with self._changed:
            if self._trust is None:
                return
            is_first, self._is_warned = not self._is_warned, True
            if self._trust.lost() or is_first:
                log.warning("No events: %s Executions are looked at as if there were none.", reason)
                self._board.look_soon(time.monotonic())
                self._changed.notify_all()

    def _say_trusted(self) -> None:
        self._is_warned = False
        log.info("Events of executions come: looks are rare from now on.")

    def _listen(self, hook: SageMakerPipelinesHook) -> None:
        queue = hook.conn_config.extra_config.get(EXTRA)
        if not queue or self._feeds is None or self._unsubscribe is not None:
            return
        with self._changed:
            self._trust = EventTrust()
        key = (hook.aws_conn_id, hook.conn_region_name)
        self._unsubscribe = self._feeds.subscribe(key, str(queue), self._make_hook, self)

    def _check_events(self, now: float) -> None:
        if self._trust is not None and (arn := self._trust.overdue(now)) is not None:
            log.warning(
                "Execution %s has ended, but its event has not come: executions are looked at as often as without "
                "events, until these come again.",
                arn,
            )
            self._board.look_soon(now)

    # --- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while (work := self._await_work()) is not None:
            try:
                work()
            except Exception as error:
                # A fault of our own must not leave the tasks waiting for a thread that is gone.
                log.exception("The watcher broke off")
                self._end_all(type(error).__name__, f"The watcher broke off: {type(error).__name__}: {error}")

    def _await_work(self) -> Callable[[], None] | None:
        """What to do next, once it is due; None when the watcher closes."""
        with self._changed:
            while not self._is_closing:
                now = time.monotonic()
                self._expire(now)
                self._check_events(now)
                pipeline = self._board.next_pipeline()
                delay: float | None = None
                if pipeline is not None:
                    pause = self._pace.delay(now)
                    told = self._board.take_told() if pause <= 0 else None
                    if told is not None:
                        return lambda: self._look_at_told(*told)
                    if pipeline.due <= now and pause <= 0:
                        arns = list(pipeline.waits)
                        pipeline.told.clear()
                        return lambda: self._look(pipeline, arns)
                    wait = self._board.next_progress(now) if self._progress_at <= now and pause <= 0 else None
                    if wait is not None:
                        return lambda: self._look_at_steps(wait)
                    calls = min(pipeline.due, max(self._board.next_progress_due(), self._progress_at))
                    moments = [max(calls, now + pause), self._board.next_deadline()]
                    if self._board.has_told:
                        moments.append(now + pause)
                    if self._trust is not None:
                        moments.append(self._trust.next_overdue())
                    delay = max(min(moments) - now, 0.001)
                self._changed.wait(delay)
        return None

    def _expire(self, now: float) -> None:
        for wait in self._board.take_expired(now):
            wait.finish({"kind": "timeout", "execution_arn": wait.arn, "status": "Executing", "failure_reason": None})

    def _look(self, pipeline: WatchedPipeline, arns: list[str]) -> None:
        """Look at every execution of a pipeline that is waited for."""
        if self._look_at(pipeline, arns):
            with self._changed:
                has_events = self._trust is not None and self._trust.is_trusted
                self._board.looked(pipeline, now=time.monotonic(), has_events=has_events)

    def _look_at_told(self, pipeline: WatchedPipeline, arns: list[str]) -> None:
        """Look at the executions of which an event says that they have ended."""
        if self._look_at(pipeline, arns):
            with self._changed:
                self._board.looked_at_told(pipeline, arns, now=time.monotonic())

    def _look_at(self, pipeline: WatchedPipeline, arns: list[str]) -> bool:
        """Look at executions of a pipeline, in lists while these pay, else one by one; whether there were answers."""
        missing = dict.fromkeys(arns)
        try:
            if len(missing) > 1 and pipeline.is_listable:
                self._look_at_lists(pipeline, missing)
            for arn in list(missing):
                if self._is_closing:
                    return False
                self._look_at_one(pipeline, arn)
        except PipelineUnavailableError as error:
            self._unavailable(pipeline, error)
            return False
        return True

    def _look_at_lists(self, pipeline: WatchedPipeline, missing: dict[str, None]) -> None:
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
                log.warning("Executions are looked at one by one, since they cannot be listed: %s", error)
                pipeline.is_listable = isinstance(error, PipelineNotFoundError)
                return
            found = 0
            for item in items:
                arn = item["PipelineExecutionArn"]
                if arn in missing:
                    found += 1
                    del missing[arn]
                    self._saw(pipeline, parse_execution_summary(item), item.get("StartTime"))
            if token is None or len(missing) <= 1 or found < 2 or self._is_closing:
                return

    def _look_at_one(self, pipeline: WatchedPipeline, arn: str) -> None:
        try:
            with self._call() as hook:
                report, started = hook.describe_execution_start(arn)
        except PipelineUnavailableError:
            raise
        except PipelineAccessError as error:
            if time.monotonic() - self._hook_made > _CLIENT_RENEWAL_SECONDS:
                self._hook = None  # the connection may have been given new credentials
                raise PipelineUnavailableError(str(error), code=error.code) from error
            self._end(arn, error_event(arn, code=error.code, message=str(error)))
        except PipelineApiError as error:
            self._end(arn, error_event(arn, code=error.code, message=str(error)))
        else:
            self._saw(pipeline, report, started)

    def _look_at_steps(self, wait: Wait) -> None:
        self._progress_at = time.monotonic() + 1 / _PROGRESS_CALLS_PER_SECOND
        wait.progress_due = time.monotonic() + (wait.progress_delay or 0)
        try:
            with self._call() as hook:
                steps = hook.describe_execution_steps(wait.arn)
        except PipelineApiError as error:
            log.info("The steps of %s could not be seen: %s", wait.arn, error)
            return
        with self._changed:
            curious = self._board.curious(wait.arn)
        for one in curious:
            one.progress_due = time.monotonic() + (one.progress_delay or 0)
            if one.report_progress is not None:
                one.report_progress(ExecutionReport(wait.arn, "Executing", steps=steps))

    def _saw(self, pipeline: WatchedPipeline, report: ExecutionReport, started: Any) -> None:
        if report.is_terminal:
            with self._changed:
                if self._trust is not None and report.arn in pipeline.started:
                    self._trust.ended(report.arn, now=time.monotonic())
            self._end(report.arn, summary_event(report))
        else:
            with self._changed:
                self._board.saw(pipeline, report.arn, started)

    def _end(self, arn: str, event: dict[str, Any]) -> None:
        with self._changed:
            ended = self._board.take(arn)
        for wait in ended:
            wait.finish(event)

    def _end_all(self, code: str, message: str) -> None:
        with self._changed:
            arns = self._board.arns()
        for arn in arns:
            self._end(arn, error_event(arn, code=code, message=message))

    @contextmanager
    def _call(self) -> Iterator[SageMakerPipelinesHook]:
        """One paced call; its outcome sets the pace of the next."""
        with self._changed:
            while (delay := self._pace.delay(time.monotonic())) > 0 and not self._is_closing:
                self._changed.wait(delay)
            self._pace.take(time.monotonic())
        if self._hook is None:
            self._hook, self._hook_made = self._make_hook(), time.monotonic()
            self._listen(self._hook)
        try:
            yield self._hook
        except PipelineUnavailableError as error:
            if error.code not in UNREACHABLE_CODES:
                self._pace.throttled(time.monotonic())
            raise
        self._pace.answered()
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
        with self._changed:
            delay = plan_backoff(failures=min(pipeline.failures, 4), waiter_delay=1)
            self._board.refused(pipeline, delay_seconds=delay, now=now)
        log.warning("%s Looking again in %.0f s, at most %.1f calls a second.", error, delay, self._pace.rate)


def summary_event(report: ExecutionReport) -> dict[str, Any]:
    """The event of an execution that has ended, without its steps: who takes it up reads them, once."""
    event = {"kind": "ended", **report.to_json()}
    del event["steps"]
    return event
