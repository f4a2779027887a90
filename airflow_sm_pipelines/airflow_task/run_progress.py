"""Shows an execution's progress while its task waits on a worker: steps as an XCom, the jobs' logs in the task's log.

While the task is deferred, :mod:`airflow_sm_pipelines.triggers.live_progress` does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
from airflow_sm_pipelines.client.job_log_stream import JobLogStream
from airflow_sm_pipelines.runs.results import summarize_steps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.client.reports import ExecutionReport

STEPS_KEY = "steps"
"""The XCom of the steps: pushed while the execution runs, and with the result at its end."""


class RunProgress:
    """Shows one execution's progress.

    :param is_pushed: push the steps as an XCom whenever one has changed.
    :param is_streamed: write the jobs' log lines to the task's log.
    :param cursor: how far the logs were shown before; where not given, what an earlier attempt has remembered.
    """

    def __init__(
        self,
        context: Context,
        calls: SageMakerCalls,
        *,
        is_pushed: bool,
        is_streamed: bool,
        log: Logger,
        cursor: Mapping[str, Any] | None = None,
    ) -> None:
        self._ti: Any = context["ti"]
        self._is_pushed = is_pushed
        self._store = TaskStateStore(context)
        self._stream: JobLogStream | None = None
        if is_streamed:
            known = cursor or self._store.load_log_cursor()
            self._stream = JobLogStream(calls, write=log.info, warn=log.warning, cursor=known)

    @property
    def cursor(self) -> dict[str, Any] | None:
        """How far the logs have been shown; None where they are not."""
        return None if self._stream is None else self._stream.cursor

    def show(self, report: ExecutionReport, has_changed: bool) -> None:
        """Show the execution as it is now, while it runs."""
        if has_changed and self._is_pushed:
            self._ti.xcom_push(key=STEPS_KEY, value=summarize_steps(report))
        if self._stream is not None and self._stream.read(report):
            self._store.save_log_cursor(self._stream.cursor)

    def finish(self, report: ExecutionReport) -> None:
        """Show the rest of the logs."""
        if self._stream is not None:
            self._stream.read(report, is_last=True)
            self._store.save_log_cursor(self._stream.cursor)
