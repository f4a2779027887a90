"""Shows an execution's progress while its task is deferred: the steps as an XCom, the jobs' logs in the trigger's log.

The trigger lists the steps every ``progress_delay`` seconds. Everything that follows happens in a thread, so that the
triggerer's event loop never waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_names import can_triggers_read_xcoms
from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.plain_xcom import get_plain_xcom, set_plain_xcom
from airflow_sm_pipelines.airflow_task.run_progress import STEPS_KEY
from airflow_sm_pipelines.client.job_log_stream import JobLogStream, merge_cursors
from airflow_sm_pipelines.runs.page_record import (
    MAX_LOG_LINES,
    RECORDS_KEY,
    add_to_history,
    make_step_record,
    make_step_records,
)
from airflow_sm_pipelines.runs.results import summarize_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.client.reports import ExecutionReport

LOG_CURSOR_XCOM = "sagemaker_log_cursor"
"""The XCom that says how far the logs were shown: a trigger has no other store, and another triggerer may take over."""


class LiveProgress:
    """Shows one deferred task's execution.

    :param ti: the task instance, as the triggerer knows it; None under ``airflow dags test``, where no XCom is pushed.
    :param make_hook: makes a hook; called in a thread, when the first log is read.
    :param log: the trigger's.
    :param is_pushed: push the steps as an XCom whenever one has changed.
    :param is_streamed: write the jobs' log lines to the log.
    :param cursor: how far the logs were shown before the deferral.
    :param is_one_step: whether the task mirrors one step. Then the page's record of that step is kept, with the last
        lines of its log, beside those of its earlier tries.
    :param find_links: gives the links of the task, addresses by XCom key; called in a thread, while it runs.
    """

    def __init__(
        self,
        ti: Any,
        make_hook: Callable[[], SageMakerCalls],
        *,
        log: Logger,
        is_pushed: bool,
        is_streamed: bool,
        cursor: Mapping[str, Any] | None = None,
        is_one_step: bool = False,
        find_links: Callable[[ExecutionReport], Mapping[str, str]] | None = None,
    ) -> None:
        if ti is not None and not can_triggers_read_xcoms():
            # Airflow 3.1 and 3.2 answer the triggerer's own loop alone: a call from a thread ends all its triggers.
            log.debug(
                "Until the task goes on, its steps are in this log only: this Airflow takes no XCom from triggers."
            )
            ti = None
        self._ti = ti
        self._is_one_step = is_one_step and ti is not None
        self._find_links = find_links
        self._links: Mapping[str, str] = {}
        self._history: list[dict[str, Any]] | None = None
        self._lines: deque[str] = deque(maxlen=MAX_LOG_LINES)
        self._make_hook = make_hook
        self._log = log
        self._is_pushed = is_pushed and ti is not None
        self._is_streamed = is_streamed
        self._cursor = cursor
        self._stream: JobLogStream | None = None
        self._worker: asyncio.Task[None] | None = None
        self._next: tuple[ExecutionReport, bool] | None = None

    @property
    def cursor(self) -> dict[str, Any] | None:
        """How far the logs have been shown; None where nothing was read."""
        return None if self._stream is None else self._stream.cursor

    def show_soon(self, report: ExecutionReport, has_changed: bool) -> None:
        """Show the execution as it is now. Call this in the event loop; it returns at once."""
        if not self._is_streamed and not (has_changed and (self._is_pushed or self._is_one_step)):
            return
        had_changed = self._next is not None and self._next[1]
        self._next = (report, has_changed or had_changed)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Wait until everything that is to be shown soon has been shown."""
        if self._worker is not None:
            await self._worker

    def show_now(self, report: ExecutionReport, has_changed: bool) -> None:
        """Show the execution as it is now, and return when it is shown. Call this in a thread."""
        if has_changed and self._is_pushed:
            self._push(STEPS_KEY, summarize_steps(report))
            self._push(RECORDS_KEY, make_step_records(report))
        has_lines = self._is_streamed and self._read_logs(report)
        if has_changed or has_lines:
            self.keep_step(report)

    def keep_step(self, report: ExecutionReport) -> None:
        """Keep the one step for the page. Call this in a thread.

        :param report: the execution with this step alone.
        """
        if not self._is_one_step:
            return
        if self._history is None:
            self._history = self._read(RECORDS_KEY) or []
        for step in report.steps:
            self._history = add_to_history(self._history, make_step_record(step, arn=report.arn, log=[*self._lines]))
        self._push(RECORDS_KEY, self._history)
        links = {} if self._find_links is None else self._find_links(report)
        for key in [key for key, address in links.items() if self._links.get(key) != address]:
            self._push(key, links[key])
        self._links = links

    def _read_logs(self, report: ExecutionReport) -> bool:
        if self._stream is None:
            known = merge_cursors(self._read(LOG_CURSOR_XCOM), self._cursor)
            self._stream = JobLogStream(self._make_hook(), write=self._write, warn=self._log.warning, cursor=known)
        if not self._stream.read(report):
            return False
        self._push(LOG_CURSOR_XCOM, self._stream.cursor)
        return True

    def _write(self, line: str) -> None:
        self._log.info(line)
        self._lines.append(line)

    def finish(self, report: ExecutionReport) -> None:
        """Show the rest of the logs. Call this in a thread, after everything else was shown."""
        if self._is_streamed:
            self.show_now(report, has_changed=False)
            if self._stream is not None:
                self._stream.read(report, is_last=True)

    async def _work(self) -> None:
        while self._next is not None:
            (report, has_changed), self._next = self._next, None
            try:
                await run_in_thread(self.show_now, report, has_changed)
            except Exception as error:  # noqa: BLE001 - a fault in showing progress must not end the wait
                self._log.warning("Progress could not be shown: %s: %s", type(error).__name__, error)

    def _push(self, key: str, value: Any) -> None:
        if self._ti is None:
            return
        try:
            set_plain_xcom(self._ti, key, value)
        except Exception as error:  # noqa: BLE001 - Airflow before 3.3 refuses with errors of any class
            self._ti = None
            self._is_pushed = False
            self._log.warning(
                "Until the task goes on, its steps are in this log only: this Airflow takes no XCom from a trigger "
                "(%s: %s).",
                type(error).__name__,
                error,
            )

    def _read(self, key: str) -> Any:
        """What another triggerer has kept before this one took over."""
        if self._ti is None:
            return None
        try:
            return get_plain_xcom(self._ti, key)
        except Exception as error:  # noqa: BLE001 - as in _push; without a cursor, lines may come twice
            self._log.debug("No earlier %s: %s", key, error)
            return None
