"""What an execution looks like at one moment: its state, its steps, and the last lines of their jobs' logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from airflow_sm_pipelines.client.answers import ask_pages
from airflow_sm_pipelines.client.job_logs import read_stream_tail, resolve_log_location
from airflow_sm_pipelines.exceptions import PipelineApiError
from airflow_sm_pipelines.loopback import is_loopback_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport


@dataclass(frozen=True, slots=True)
class ExecutionView:
    """An execution at one moment.

    :param report: its state and steps.
    :param started: aware.
    :param ended: aware; None while it runs.
    :param log_tails: the last log lines of jobs, by :func:`step_key`.
    """

    report: ExecutionReport
    started: datetime
    ended: datetime | None
    log_tails: Mapping[tuple[str, int | None], tuple[str, ...]] = field(default_factory=dict)


def step_key(step: StepReport) -> tuple[str, int | None]:
    """What identifies a step of one execution: its name, and its iteration in a ForEach step."""
    return step.name, step.iteration


class ExecutionReader:
    """Reads executions with the last log lines of their jobs.

    :param calls: the connection to read through.
    :param log_lines: how many lines to read of a job that failed.
    :param is_live: whether to read the last line of running jobs too.
    """

    def __init__(self, calls: SageMakerCalls, *, log_lines: int, is_live: bool) -> None:
        self._calls = calls
        self._log_lines = log_lines
        self._is_live = is_live
        self._failed_tails: dict[tuple[str, tuple[str, int | None], int | None], tuple[str, ...]] = {}

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine, where frequent calls cost nothing."""
        return is_loopback_url(self._calls.conn.meta.endpoint_url)

    def read(self, arn: str) -> ExecutionView:
        """The execution now.

        :raises PipelineApiError: if SageMaker cannot be asked.
        """
        report, started, changed = self._calls.describe_execution_times(arn)
        steps = self._calls.describe_execution_steps(arn)
        return ExecutionView(
            report=report.with_steps(steps),
            started=started or datetime.now(timezone.utc),
            ended=changed if report.is_terminal else None,
            log_tails={step_key(step): tail for step in steps if (tail := self._tail(arn, step))},
        )

    def list_started_since(self, moment: datetime) -> list[str]:
        """The ARNs of all pipelines' executions that started since a moment, oldest first."""
        found = []
        for pipeline in self._calls.list_pipelines():
            if pipeline.last_execution is None or pipeline.last_execution < moment:
                continue
            started = ask_pages(
                self._calls.conn,
                "list_pipeline_executions",
                pipeline.name,
                member="PipelineExecutionSummaries",
                each=("StartTime", "PipelineExecutionArn"),
                PipelineName=pipeline.name,
                CreatedAfter=moment,
            )
            found += [(one["StartTime"], one["PipelineExecutionArn"]) for one in started]
        return [arn for _, arn in sorted(found)]

    def _tail(self, arn: str, step: StepReport) -> tuple[str, ...]:
        location = resolve_log_location(step.job_arn)
        if location is None or not location[1]:
            return ()
        if step.is_failed:
            key = arn, step_key(step), step.attempts
            if key not in self._failed_tails:
                self._failed_tails[key] = self._read(*location, self._log_lines)
            return self._failed_tails[key]
        return self._read(*location, 1) if self._is_live and not step.is_terminal else ()

    def _read(self, group: str, prefix: str, lines: int) -> tuple[str, ...]:
        if lines <= 0:
            return ()
        try:
            return tuple(read_stream_tail(self._calls.client_of("logs"), group, prefix, max_lines=lines))
        except PipelineApiError:
            # The log may not be there yet, or the caller may not read it. The step's own reason still shows.
            return ()
