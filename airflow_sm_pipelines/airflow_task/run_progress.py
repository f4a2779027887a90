"""Shows an execution while its task waits on a worker, steps as an XCom and logs in the task's log; pushes the XComs.

While the task is deferred, :mod:`airflow_sm_pipelines.triggers.live_progress` does the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.plain_xcom import set_plain_xcom
from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
from airflow_sm_pipelines.client.job_log_stream import JobLogStream
from airflow_sm_pipelines.client.job_logs import read_log_tails
from airflow_sm_pipelines.client.reports import ExecutionReport
from airflow_sm_pipelines.exceptions import SageMakerPipelinesError
from airflow_sm_pipelines.runs.page_record import (
    EXECUTION_KEY,
    GRAPH_KEY,
    INSTANCES_KEY,
    RECORDS_KEY,
    make_execution_record,
    make_graph_record,
    make_instances_record,
    make_step_records,
)
from airflow_sm_pipelines.runs.results import summarize_steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger

ARN_KEY = "pipeline_execution_arn"
"""The XCom of the execution, pushed as soon as it has started."""

STEPS_KEY = "steps"
"""The XCom of the steps: while the execution runs, a plain one for people; at its end, the task's."""


class RunProgress:
    """Shows one execution's progress, and pushes its XComs.

    :param is_pushed: push XComs, among them the steps whenever one has changed.
    :param is_streamed: write the jobs' log lines to the task's log.
    :param cursor: how far the logs were shown before; where not given, what an earlier attempt has remembered.
    :param is_later: whether this attempt has deferred already.
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
        is_later: bool = False,
    ) -> None:
        self._ti: Any = context["ti"]
        self._is_pushed = is_pushed
        self._store = TaskStateStore(context)
        self._keys: set[str] = set()
        self._is_later = is_later
        self._calls, self._warn = calls, log.warning
        self._notes = _PageNotes(self._ti, log=log)
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
            set_plain_xcom(self._ti, STEPS_KEY, summarize_steps(report))
            self._notes.show(report)
        if self._stream is not None and self._stream.read(report):
            self._store.save_log_cursor(self._stream.cursor)

    def begin(self, arn: str) -> None:
        """Push the ARN of an execution that has started, and keep what the page shows of it."""
        self.push({ARN_KEY: arn})
        if self._is_pushed:
            started = ExecutionReport(arn, "Executing")
            self._notes.begin(started, self._calls, parameters=self._read_parameters())

    def finish(self, report: ExecutionReport) -> None:
        """Show the rest of the logs, and keep the end for the page."""
        if self._is_pushed:
            self._notes.finish(report, parameters=self._read_parameters())
        if self._stream is not None:
            self._stream.read(report, is_last=True)
            self._store.save_log_cursor(self._stream.cursor)

    def keep_outputs(self, report: ExecutionReport, outputs: dict[str, Any]) -> dict[str, Any]:
        """Keep outputs for the page; gives them."""
        if self._is_pushed:
            self._notes.add_outputs(report, outputs)
        return outputs

    def read_log_tails(self, report: ExecutionReport, *, max_lines: int) -> dict[str, tuple[str, list[str]]]:
        """The log group and the last log lines of each failed step's job, by step name; the page keeps them."""
        tails = read_log_tails(self._calls, report.failed_steps, max_lines=max_lines, warn=self._warn)
        if self._is_pushed:
            self._notes.add_logs(report, {name: lines for name, (_, lines) in tails.items()})
        return tails

    def _read_parameters(self) -> list[dict[str, str]] | None:
        """The parameters that the start call was given; None where there is no note of it."""
        last = self._store.load_submission()
        return None if last is None else last.request.get("PipelineParameters", [])

    def push(self, values: Mapping[str, Any]) -> None:
        """Push those XComs that this attempt has not pushed.

        A backend for object storage would keep an object for each time.
        """
        for key, value in values.items() if self._is_pushed else ():
            if key not in self._keys and not self._was_pushed(key, value):
                self._ti.xcom_push(key=key, value=value)
            self._keys.add(key)

    def _was_pushed(self, key: str, value: Any) -> bool:
        """Whether this attempt has pushed it before its deferral, and nobody has deleted it since."""
        ti = self._ti
        return (
            self._is_later
            and key == ARN_KEY
            and ti.xcom_pull(task_ids=ti.task_id, key=key, map_indexes=ti.map_index) == value
        )


class _PageNotes:
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
        for key, value in _make_plan_records(report.arn, calls, parameters).items():
            self._keep(key, value)

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


def _make_plan_records(
    arn: str, calls: SageMakerCalls, parameters: Iterable[Mapping[str, str]] | None
) -> dict[str, Any]:
    """What the page is told before a step has begun: the graph, and the instances of its jobs."""
    from airflow_sm_pipelines.definition import inspect_definition
    from airflow_sm_pipelines.definition.shape import make_shape

    try:
        definition = inspect_definition(calls.describe_execution_definition(arn))[0]
        if definition is None:
            return {}
        graph = make_graph_record(make_shape(definition))
        return {GRAPH_KEY: graph, INSTANCES_KEY: make_instances_record(definition, parameters)}
    except SageMakerPipelinesError:
        return {}  # the page then shows the steps without their edges, and no cost
