"""What a deferred task shows of its execution: its steps as an XCom, its jobs' log lines in the trigger's log.

The trigger sees the steps at each look at them (``progress_delay``); what follows from that is done in a thread, so
that the event loop of the triggerer never waits for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.job_log_stream import JobLogStream, merge_cursors
from airflow_sm_pipelines.client.outputs import to_json_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

STEPS_KEY = "steps"
CURSOR_KEY = "sagemaker_logs_cursor"
"""The XCom that says how far the logs were shown: a trigger has no other store, and another triggerer may take over."""


class LiveView:
    """Shows one deferred task's execution.

    :param ti: the task instance, as the triggerer knows it; None under ``airflow dags test``, where no XCom is pushed.
    :param make_hook: makes a hook; called in a thread, when the first log is read.
    :param log: the trigger's.
    :param is_pushed: push the steps as an XCom whenever one has changed.
    :param is_streamed: write the jobs' log lines to the log.
    :param cursor: how far the logs were shown before the deferral.
    """

    def __init__(
        self,
        ti: Any,
        make_hook: Callable[[], SageMakerPipelinesHook],
        *,
        log: Any,
        is_pushed: bool,
        is_streamed: bool,
        cursor: Mapping[str, Any] | None = None,
    ) -> None:
        """Show nothing yet."""
        self._ti = ti
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

    def note(self, report: ExecutionReport, is_news: bool) -> None:
        """Show what a look found, soon; called in the event loop, and returns at once."""
        if not self._is_streamed and not (is_news and self._is_pushed):
            return
        was_news = self._next is not None and self._next[1]
        self._next = (report, is_news or was_news)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Wait until everything noted is shown."""
        if self._worker is not None:
            await self._worker

    def show(self, report: ExecutionReport, is_news: bool) -> None:
        """Show what a look found, now; called in a thread."""
        if is_news and self._is_pushed:
            self._push(STEPS_KEY, to_json_value([step.summary() for step in report.steps]))
        if self._is_streamed:
            if self._stream is None:
                known = merge_cursors(self._pulled_cursor(), self._cursor)
                self._stream = JobLogStream(
                    self._make_hook(), write=self._log.info, warn=self._log.warning, cursor=known
                )
            if self._stream.read(report):
                self._push(CURSOR_KEY, self._stream.cursor)

    async def _work(self) -> None:
        while self._next is not None:
            (report, is_news), self._next = self._next, None
            try:
                await asyncio.to_thread(self.show, report, is_news)
            except Exception as error:  # what is shown is no reason to end the wait
                self._log.warning("Progress could not be shown: %s: %s", type(error).__name__, error)

    def _push(self, key: str, value: Any) -> None:
        if self._ti is None:
            return
        from airflow.sdk.execution_time.xcom import XCom

        try:
            XCom.set(key=key, value=value, **self._identity())
        except Exception as error:  # Airflow before 3.3 may answer in any way
            self._ti = None
            self._is_pushed = False
            self._log.warning(
                "Until the task goes on, its steps are in this log only: this Airflow takes no XCom from a trigger "
                "(%s: %s).",
                type(error).__name__,
                error,
            )

    def _pulled_cursor(self) -> Any:
        """What a trigger before this one has shown, if its triggerer went away."""
        if self._ti is None:
            return None
        from airflow.sdk.execution_time.xcom import XCom

        try:
            return XCom.get_one(key=CURSOR_KEY, **self._identity())
        except Exception as error:  # as above; then lines may come twice
            self._log.debug("No earlier cursor: %s", error)
            return None

    def _identity(self) -> dict[str, Any]:
        ti = self._ti
        return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": ti.map_index}
