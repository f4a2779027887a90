"""What a running task shows of its execution while it waits on a worker: its steps as an XCom, its jobs' logs.

While the task is deferred, :mod:`airflow_sm_pipelines.triggers.live_progress` does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.job_log_stream import JobLogStream
from airflow_sm_pipelines.client.outputs import to_json_value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

LOGS_KEY = "sagemaker_pipeline_logs"
"""The key in the task state store (Airflow 3.3) that says how far the logs were shown; a retry goes on there."""


class RunProgress:
    """Shows one execution's progress.

    :param is_pushed: push the steps as an XCom whenever one has changed.
    :param is_streamed: write the jobs' log lines to the task's log.
    :param cursor: how far the logs were shown before; what an earlier attempt remembered, where not given.
    """

    def __init__(
        self,
        context: Context,
        hook: SageMakerPipelinesHook,
        *,
        is_pushed: bool,
        is_streamed: bool,
        log: Logger,
        cursor: Mapping[str, Any] | None = None,
    ) -> None:
        """Show nothing yet."""
        self._ti: Any = context["ti"]
        self._is_pushed = is_pushed
        self._store: Any = context.get("task_state_store")
        self._stream: JobLogStream | None = None
        if is_streamed:
            known = cursor or self._remembered()
            self._stream = JobLogStream(hook, write=log.info, warn=log.warning, cursor=known)

    @property
    def cursor(self) -> dict[str, Any] | None:
        """How far the logs have been shown."""
        return None if self._stream is None else self._stream.cursor

    def note(self, report: ExecutionReport, is_news: bool) -> None:
        """Show what a look found."""
        if is_news and self._is_pushed:
            self._ti.xcom_push(key="steps", value=to_json_value([step.summary() for step in report.steps]))
        if self._stream is not None and self._stream.read(report):
            self._remember()

    def finish(self, report: ExecutionReport) -> None:
        """Show the rest of the logs."""
        if self._stream is not None:
            self._stream.read(report, is_last=True)
            self._remember()

    def _remembered(self) -> Any:
        return None if self._store is None else self._store.get(LOGS_KEY)

    def _remember(self) -> None:
        if self._store is not None and self._stream is not None:
            self._store.set(LOGS_KEY, self._stream.cursor)
