"""Which log lines are read for the steps of an execution, and how often."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli import execution_view
from airflow_sm_pipelines.cli.execution_view import ExecutionReader
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from airflow_sm_pipelines.client.calls import SageMakerCalls

JOB = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/"
NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


class Calls:
    """An execution with these steps; no job but those of ``logs`` has a log."""

    def __init__(self, *steps: StepReport, logs: dict[str, list[str]]) -> None:
        self.steps = steps
        self.logs = logs
        self.read: list[tuple[str, int]] = []

    def describe_execution_times(self, arn: str) -> tuple[ExecutionReport, datetime, datetime]:
        """Ended."""
        return ExecutionReport(arn, "Failed"), NOW, NOW

    def describe_execution_steps(self, arn: str) -> tuple[StepReport, ...]:
        """All steps."""
        return self.steps

    def client_of(self, service: str) -> Calls:
        """This one."""
        assert service == "logs"
        return self

    def tail(self, logs: Any, group: str, prefix: str, *, max_lines: int) -> list[str]:
        """Take the place of ``read_stream_tail``."""
        assert (logs, group) == (self, "/aws/sagemaker/TrainingJobs")
        self.read.append((prefix, max_lines))
        if prefix not in self.logs:
            raise PipelineApiError("there is none", code="ResourceNotFoundException")
        return self.logs[prefix][-max_lines:]


@pytest.mark.parametrize("is_live", [True, False])
def test_a_failed_job_is_read_once_and_a_running_one_each_time_where_it_is_shown(
    is_live: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = Calls(
        StepReport("Failed", "Training", "Failed", job_arn=f"{JOB}failed"),
        StepReport("Runs", "Training", "Executing", job_arn=f"{JOB}runs"),
        StepReport("Silent", "Training", "Executing", job_arn=f"{JOB}silent"),
        StepReport("Done", "Training", "Succeeded", job_arn=f"{JOB}done"),
        StepReport("Function", "Lambda", "Failed", job_arn="arn:aws:lambda:eu-west-1:123456789012:function:f"),
        StepReport("NoJob", "Training", "Failed"),
        logs={name: ["one", "two", "three"] for name in ("failed", "runs", "done")},
    )
    monkeypatch.setattr(execution_view, "read_stream_tail", calls.tail)
    reader = ExecutionReader(as_calls(calls), log_lines=2, is_live=is_live)
    found = {("Failed", None): ("two", "three")} | ({("Runs", None): ("three",)} if is_live else {})
    live = [("runs", 1), ("silent", 1)] if is_live else []
    for expected in ([("failed", 2), *live], live):
        calls.read.clear()
        view = reader.read("arn")
        assert (view.log_tails, view.started, view.ended) == (found, NOW, NOW)
        assert calls.read == expected
    # Another execution, and another attempt of a step, has another log.
    calls.read.clear()
    reader.read("another")
    calls.steps = (StepReport("Failed", "Training", "Failed", job_arn=f"{JOB}failed", attempts=2),)
    reader.read("arn")
    assert calls.read == [("failed", 2), *live, ("failed", 2)]


def test_no_log_is_read_where_no_lines_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Calls(StepReport("Failed", "Training", "Failed", job_arn=f"{JOB}failed"), logs={"failed": ["one"]})
    monkeypatch.setattr(execution_view, "read_stream_tail", calls.tail)
    assert ExecutionReader(as_calls(calls), log_lines=0, is_live=True).read("arn").log_tails == {}
    assert calls.read == []


def as_calls(calls: Any) -> SageMakerCalls:
    found: SageMakerCalls = calls
    return found
