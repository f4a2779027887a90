"""The trigger that waits for an execution while its task is deferred.

In a triggerer one watcher serves all the tasks on a connection. Under ``airflow dags test`` the trigger makes the calls
itself. boto3 runs in a thread: aiobotocore pins botocore to a month-old release, and would take the newest API away
from everything else in the environment.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from contextlib import suppress
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.stop_on_kill import stop_if_ended_by_hand
from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.client.execution_watch import ExecutionWatch, error_event
from airflow_sm_pipelines.client.wait_policy import ProgressLog
from airflow_sm_pipelines.triggers.base import SageMakerDeferredTrigger, describe_error, error_code
from airflow_sm_pipelines.triggers.live_progress import LiveProgress
from airflow_sm_pipelines.triggers.wait_schedule import ExecutionWait
from airflow_sm_pipelines.triggers.watcher import summary_event
from airflow_sm_pipelines.triggers.watcher_registry import WatcherRegistry

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.reports import ExecutionReport

WATCHERS = WatcherRegistry()
"""The watchers of all triggers: Airflow makes each trigger by itself, and gives them no place to meet."""

_STOPPING: set[asyncio.Future[None]] = set()
"""Stops under way; the event loop alone would not keep them when their triggers have ended."""


class SageMakerPipelineExecutionTrigger(SageMakerDeferredTrigger):
    """Fires one event when an execution has ended, the time is over, or the execution can no longer be watched.

    The event is a dict: ``kind`` (``"ended"``, ``"timeout"``, ``"error"``), ``execution_arn``, ``status`` and
    ``failure_reason``; an error has ``code`` and ``message``. It has ``steps`` only under ``airflow dags test``: in a
    triggerer, each task reads its steps when it goes on.

    :param execution_arn: the execution.
    :param waiter_delay: seconds between two checks, once the execution has run for a while.
    :param progress_delay: seconds between two checks of its steps, whose changes are then logged here; None for no
        such checks. All waits together check steps five times a second at most.
    :param deadline: ISO 8601 time with offset at which to give up; None for never.
    :param max_refused_seconds: how long it is borne that each check is refused.
    :param stop_on_kill: stop the execution when somebody ends or deletes the deferred task (Airflow 3.3).
    :param stop_on_clear: the same when somebody clears it; False where it goes on with its execution then.
    :param publish_steps: push the steps as XCom ``steps`` whenever one of them has changed.
    :param stream_logs: write the jobs' log lines here, at each check of the steps.
    :param log_cursor: how far the logs were shown before. The event's ``log_cursor`` says how far they are now.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    is_one_step = False
    """Whether the task mirrors one step of the execution."""

    def __init__(
        self,
        *,
        execution_arn: str,
        waiter_delay: float = 30,
        progress_delay: float | None = None,
        deadline: str | None = None,
        max_refused_seconds: float = MAX_REFUSED_SECONDS,
        stop_on_kill: bool = True,
        stop_on_clear: bool = True,
        publish_steps: bool = False,
        stream_logs: bool = False,
        log_cursor: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.execution_arn = execution_arn
        self.waiter_delay = waiter_delay
        self.progress_delay = progress_delay
        self.deadline = deadline
        self.max_refused_seconds = max_refused_seconds
        self.stop_on_kill = stop_on_kill
        self.stop_on_clear = stop_on_clear
        self.publish_steps = publish_steps
        self.stream_logs = stream_logs
        self.log_cursor = log_cursor
        self._progress: LiveProgress | None = None
        self._stopping: asyncio.Future[None] | None = None

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {
            "execution_arn": self.execution_arn,
            "waiter_delay": self.waiter_delay,
            "progress_delay": self.progress_delay,
            "deadline": self.deadline,
            "max_refused_seconds": self.max_refused_seconds,
            "stop_on_kill": self.stop_on_kill,
            "stop_on_clear": self.stop_on_clear,
            "publish_steps": self.publish_steps,
            "stream_logs": self.stream_logs,
            "log_cursor": self.log_cursor,
        }

    async def wait(self) -> dict[str, Any]:
        """Wait for the end, and log each change of a step meanwhile."""
        progress = self._progress = LiveProgress(
            self.task_instance,
            self.hook_arguments.make_hook,
            log=self.log,
            is_pushed=self.publish_steps,
            is_streamed=self.stream_logs,
            cursor=self.log_cursor,
            is_one_step=self.is_one_step,
            find_links=self.find_links if self.is_one_step else None,
        )
        event = await (self._wait_alone(progress) if self.task_instance is None else self._wait_together(progress))
        await progress.close()
        return self._with_log_cursor(event)

    def make_error_event(self, error: Exception) -> dict[str, Any]:
        """The payload of the event for a wait that broke off."""
        message = f"Waiting for {self.execution_arn} broke off: {describe_error(error)}"
        return self._with_log_cursor(error_event(self.execution_arn, code=error_code(error), message=message))

    def is_over(self, report: ExecutionReport) -> bool:
        """Whether the execution is at the point that this trigger waits for."""
        return report.is_terminal

    def select_shown(self, report: ExecutionReport) -> ExecutionReport:
        """The part of the execution that this task's log and XComs show."""
        return report

    def find_links(self, report: ExecutionReport) -> dict[str, str]:
        """The links of the task while it waits, addresses by XCom key."""
        return {}

    async def on_kill(self) -> None:
        """Stop the execution, if somebody has ended, deleted or cleared the task.

        Airflow also calls this when it has given a stalled triggerer's work to another one.
        """
        await self._stop_if_ended()

    async def leave_task(self, state: str | None) -> None:
        """Stop the execution of a task that was cleared or deleted, before its next attempt begins, if it ever does."""
        await self._stop_if_ended()

    def begin_kill(self) -> None:
        """Begin to stop the execution, if somebody has ended, deleted or cleared the task."""
        if self.stop_on_kill:
            self.start_stopping(
                lambda: stop_if_ended_by_hand(
                    self.task_instance,
                    self.execution_arn,
                    hook_arguments=self.hook_arguments,
                    log=self.log,
                    stop_on_clear=self.stop_on_clear,
                )
            )

    def start_stopping(self, stop: Callable[[], None]) -> None:
        """Run this in a thread, unless it is running already."""
        if self._stopping is None or self._stopping.done():
            self._stopping = asyncio.ensure_future(run_in_thread(stop))
            _STOPPING.add(self._stopping)
            self._stopping.add_done_callback(_STOPPING.discard)

    async def _stop_if_ended(self) -> None:
        self.begin_kill()
        if self._stopping is not None:
            # Airflow 3.3.2 cancels again, once a second, what it has cancelled and what has not ended yet.
            await asyncio.shield(self._stopping)

    def _with_log_cursor(self, event: dict[str, Any]) -> dict[str, Any]:
        cursor = None if self._progress is None else self._progress.cursor
        return event if cursor is None else {**event, "log_cursor": cursor}

    async def _wait_together(self, progress: LiveProgress) -> dict[str, Any]:
        """Wait with the watcher of this connection, which serves every task of the triggerer."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[dict[str, Any]] = loop.create_future()
        context = contextvars.copy_context()
        changes = ProgressLog()

        def call_in_loop(*call: Any) -> None:
            with suppress(RuntimeError):  # the loop is closed: the triggerer is going away
                loop.call_soon_threadsafe(*call, context=context)

        def end(event: dict[str, Any]) -> None:
            if not ended.done():
                ended.set_result(event)

        def show_steps(report: ExecutionReport) -> None:
            shown = self.select_shown(report)
            lines = changes.lines(shown)
            for line in lines:
                self.log.info(line)
            progress.show_soon(shown, bool(lines))
            if self.is_over(report):
                end(summary_event(report))

        wait = ExecutionWait(
            arn=self.execution_arn,
            waiter_delay=self.waiter_delay,
            finish=lambda event: call_in_loop(end, event),
            deadline=self._monotonic_deadline(),
            progress_delay=self.progress_delay,
            report_progress=lambda report: call_in_loop(show_steps, report),
            max_refused_seconds=self.max_refused_seconds,
        )
        watcher, release = WATCHERS.acquire(self.hook_arguments)
        watcher.add(wait)
        try:
            return await ended
        finally:
            watcher.remove(wait)
            last = release()
            if last is not None:
                last.begin_close()  # at once: a second cancellation would keep the next line from running
                await run_in_thread(last.close)

    def _monotonic_deadline(self) -> float | None:
        """The deadline on the watcher's clock."""
        if not self.deadline:
            return None
        left = datetime.fromisoformat(self.deadline) - datetime.now(timezone.utc)
        return time.monotonic() + left.total_seconds()

    async def _wait_alone(self, progress: LiveProgress) -> dict[str, Any]:
        watch = ExecutionWatch(
            self.execution_arn,
            waiter_delay=self.waiter_delay,
            deadline=datetime.fromisoformat(self.deadline) if self.deadline else None,
            log=self.log.info,
            warn=self.log.warning,
            is_over=self.is_over,
            notice=lambda report, has_changed: progress.show_now(self.select_shown(report), has_changed),
            max_refused_seconds=self.max_refused_seconds,
        )
        hook = await run_in_thread(self.hook_arguments.make_hook)
        while (event := await run_in_thread(watch.look, hook)) is None:
            await asyncio.sleep(watch.delay_seconds)
            if watch.needs_new_client:
                hook = await run_in_thread(self.hook_arguments.make_hook)
        return event
