"""What a task gives when its execution has ended or its wait has: the XComs of every run, and the errors of the others.

Pure. The run operator reads logs and addresses, and raises what is made here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.api_errors import parse_error_class
from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.wait_policy import render_failure
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineExecutionFailedError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.runs.submission import is_resumable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.runs.submission import RetryChoice


def summarize_steps(report: ExecutionReport) -> list[Any]:
    """The XCom ``steps``: name, type, status, seconds and job ARN of each step, as JSON."""
    steps: list[Any] = to_json_value([step.summary() for step in report.steps])
    return steps


def make_result(report: ExecutionReport) -> dict[str, Any]:
    """The XComs that every run has, whatever its outputs."""
    return {
        "pipeline_name": report.pipeline_name,
        "pipeline_execution_arn": report.arn,
        "pipeline_version_id": report.pipeline_version_id,
        "status": str(report.status),
        "failure_reason": report.failure_reason,
        "steps": summarize_steps(report),
        "step_outputs": None,
    }


def make_failure_error(
    report: ExecutionReport,
    *,
    on_retry: RetryChoice,
    log_tails: Mapping[str, tuple[str, list[str]]],
    log_addresses: Mapping[str, str],
) -> PipelineExecutionFailedError:
    """The error of an execution that counts as failed; final where a retry could not help.

    :param log_tails: by step name, the log group and the last lines of the step's job.
    :param log_addresses: by step name, the web page with all its lines.
    """
    message = render_failure(report, log_tails=log_tails)
    for name, address in log_addresses.items():
        message += f"\n  All lines of step '{name}': {address}"
    if on_retry == "fail":
        return PipelineExecutionFailedError(message, is_final=True)
    if on_retry == "resume" and not is_resumable(report):
        return PipelineExecutionFailedError(
            f"{message}\nNot retried: a Fail step ended it, and such an execution cannot be resumed.", is_final=True
        )
    return PipelineExecutionFailedError(message)


def make_timeout_error(report: ExecutionReport, *, was_stopped: bool | None) -> PipelineExecutionFailedError:
    """The error of an execution that was still running when the wait was over.

    :param was_stopped: whether it was told to stop then; False if it was stopping already, None if nobody told it.
    """
    running = ", ".join(step.name for step in report.steps if not step.is_terminal) or "no step"
    message = f"Pipeline execution {report.arn} is still {report.status} at the end of the wait; running: {running}."
    if was_stopped is not None:
        message += " It was told to stop." if was_stopped else " It was stopping already."
    return PipelineExecutionFailedError(message)


def make_watch_error(payload: Mapping[str, Any]) -> PipelineApiError:
    """The error of an execution that could not be watched to its end.

    :param payload: the watch's ``"error"`` event.
    """
    code = str(payload.get("code", "Unknown"))
    error_class = parse_error_class(code)
    if error_class is PipelineApiError and code.endswith("Error"):
        error_class = PipelineUnavailableError
    return error_class(str(payload["message"]), code=code)
