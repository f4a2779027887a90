"""Executions as they go on, read again and again: their steps, and the last lines of their jobs' logs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_sm_pipelines.client.job_logs import read_stream_tail, resolve_log_location
from airflow_sm_pipelines.exceptions import PipelineApiError

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
    :param tails: the last log lines of jobs, by :func:`step_key`.
    """

    report: ExecutionReport
    started: datetime
    ended: datetime | None
    tails: Mapping[tuple[str, int | None], tuple[str, ...]] = field(default_factory=dict)


def step_key(step: StepReport) -> tuple[str, int | None]:
    """What tells a step of one execution from the others: its name, and its iteration in a ForEach step."""
    return step.name, step.iteration


class ExecutionReader:
    """Reads executions.

    :param calls: the connection to read through.
    :param log_lines: how many last lines to read of a job that failed.
    :param is_live: whether to read the last line of running jobs too.
    """

    def __init__(self, calls: SageMakerCalls, *, log_lines: int, is_live: bool) -> None:
        self._calls = calls
        self._log_lines = log_lines
        self._is_live = is_live
        self._failed_tails: dict[tuple[str, tuple[str, int | None], int | None], tuple[str, ...]] = {}

    @property
    def is_local(self) -> bool:
        """Whether the endpoint is on this machine, where asking often costs nothing."""
        return urlsplit(self._calls.conn.meta.endpoint_url).hostname in ("127.0.0.1", "localhost", "::1")

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
            tails={step_key(step): tail for step in steps if (tail := self._tail(arn, step))},
        )

    def running_since(self, moment: datetime) -> list[str]:
        """The executions of all pipelines that were started since, oldest first."""
        found = []
        for pipeline in self._calls.list_pipelines():
            if pipeline.last_execution is None or pipeline.last_execution < moment:
                continue
            pages = self._calls.conn.get_paginator("list_pipeline_executions").paginate(
                PipelineName=pipeline.name, CreatedAfter=moment
            )
            for page in pages:
                found += [(one["StartTime"], one["PipelineExecutionArn"]) for one in page["PipelineExecutionSummaries"]]
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
            # A log that cannot be read, or is not there yet, hides nothing that the step itself says.
            return ()
