"""Keeps what the page in Airflow's UI shows of a task's execution, in XComs beside the task's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.plain_xcom import set_plain_xcom
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError
from airflow_sm_pipelines.runs.page_record import (
    EXECUTION_KEY,
    GRAPH_KEY,
    RECORDS_KEY,
    make_execution_record,
    make_graph_record,
    make_step_records,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.definition.shape import PipelineShape


class PageNotes:
    """Keeps one execution for the page. A page that cannot be kept fails no task.

    :param ti: the task instance whose XComs they are.
    """

    def __init__(self, ti: Any, *, log: Logger) -> None:
        self._ti = ti
        self._log = log
        self._known: dict[str, Any] = {}
        self._logs: dict[str, Sequence[str]] = {}

    def begin(
        self,
        report: ExecutionReport,
        calls: SageMakerCalls,
        *,
        parameters: Iterable[Mapping[str, str]] | None,
    ) -> None:
        """Keep an execution that has just been started, and the shape of what it runs."""
        self._known = make_execution_record(report, known=self._known, parameters=parameters)
        self._keep(EXECUTION_KEY, self._known)
        shape = _read_shape(report.arn, calls)
        if shape is not None:
            self._keep(GRAPH_KEY, make_graph_record(shape))

    def show(self, report: ExecutionReport) -> None:
        """Keep the steps as they are now."""
        self._keep(RECORDS_KEY, make_step_records(report, logs=self._logs))

    def finish(self, report: ExecutionReport, *, parameters: Iterable[Mapping[str, str]] | None = None) -> None:
        """Keep the execution and its steps at their end."""
        self._known = make_execution_record(report, known=self._known, parameters=parameters)
        self._keep(EXECUTION_KEY, self._known)
        self.show(report)

    def add_outputs(self, report: ExecutionReport, outputs: Mapping[str, Any]) -> None:
        """Keep the outputs that the author has asked for."""
        if outputs:
            self._known = make_execution_record(report, known=self._known, outputs=outputs)
            self._keep(EXECUTION_KEY, self._known)

    def add_logs(self, report: ExecutionReport, logs: Mapping[str, Sequence[str]]) -> None:
        """Keep the last lines of failed steps' jobs."""
        if logs:
            self._logs = dict(logs)
            self.show(report)

    def _keep(self, key: str, value: Any) -> None:
        try:
            set_plain_xcom(self._ti, key, value)
        except Exception as error:  # noqa: BLE001 - the task's own work matters, not its picture
            self._log.debug("Not kept for the page: %s: %s", key, error)


def _read_shape(arn: str, calls: SageMakerCalls) -> PipelineShape | None:
    from airflow_sm_pipelines.definition import inspect_definition
    from airflow_sm_pipelines.definition.shape import make_shape

    try:
        definition = inspect_definition(calls.describe_execution_definition(arn))[0]
        return None if definition is None else make_shape(definition)
    except SageMakerPipelinesError:
        return None  # the page then shows the steps without their edges
