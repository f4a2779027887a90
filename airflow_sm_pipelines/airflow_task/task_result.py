"""What comes of an execution that has ended, or of a wait that has: XComs, assets, and the errors that fail a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import Asset, AssetAlias

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.request_tokens import make_stop_token
from airflow_sm_pipelines.client.wait_policy import render_failure
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineExecutionFailedError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.runs.submission import is_resumable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook


def make_result(report: ExecutionReport) -> dict[str, Any]:
    """The XComs that every run has, whatever its outputs."""
    result: dict[str, Any] = to_json_value(
        {
            "pipeline_name": report.pipeline_name,
            "pipeline_execution_arn": report.arn,
            "pipeline_version_id": report.pipeline_version_id,
            "status": report.status,
            "failure_reason": report.failure_reason,
            "steps": [step.summary() for step in report.steps],
            "step_outputs": None,
        }
    )
    return result


def publish_assets(context: Context, assets: Mapping[str, str], result: Mapping[str, Any], *, log: Logger) -> None:
    """Add an event for each output that is an asset.

    :param assets: the asset alias's name, by output.
    """
    for output, alias in assets.items():
        uri = result.get(output)
        if not uri:
            log.warning("Output '%s' is %r, so no asset comes of it.", output, uri)
            continue
        extra = {key: result[key] for key in ("pipeline_name", "pipeline_execution_arn", "pipeline_version_id")}
        context["outlet_events"][AssetAlias(alias)].add(Asset(uri=str(uri), name=str(uri)), extra=extra)


def raise_failure(
    hook: SageMakerPipelinesHook, report: ExecutionReport, *, on_retry: str, log_lines: int, log: Logger
) -> NoReturn:
    """Fail the task for an execution that counts as failed, with the last lines of its jobs and where the
    others are.

    :raises AirflowFailException: where a retry could do nothing about it.
    :raises PipelineExecutionFailedError: otherwise.
    """
    from airflow_sm_pipelines.airflow_task.link_addresses import resolve_step_logs
    from airflow_sm_pipelines.client.job_logs import read_log_tails

    tails = read_log_tails(hook, report.failed_steps, max_lines=log_lines, warn=log.warning)
    message = render_failure(report, log_tails=tails)
    for name, url in resolve_step_logs(hook, report.failed_steps).items():
        message += f"\n  All lines of step '{name}': {url}"
    if on_retry == "fail":
        raise PipelineExecutionFailedError(message, is_final=True)
    if on_retry == "resume" and not is_resumable(report):
        raise PipelineExecutionFailedError(
            f"{message}\nNot retried: a Fail step ended it, and such an execution cannot be resumed.", is_final=True
        )
    raise PipelineExecutionFailedError(message)


def raise_timeout(hook: SageMakerPipelinesHook, report: ExecutionReport, *, is_stopped: bool) -> NoReturn:
    """Fail the task for an execution that outlasted the wait.

    :param is_stopped: stop it first.
    :raises PipelineExecutionFailedError: always.
    """
    running = ", ".join(step.name for step in report.steps if not step.is_terminal) or "no step"
    message = f"Pipeline execution {report.arn} is still {report.status} at the end of the wait; running: {running}."
    if is_stopped:
        stopped = hook.stop_execution(report.arn, token=make_stop_token(report.arn))
        message += " It was told to stop." if stopped else " It was stopping already."
    raise PipelineExecutionFailedError(message)


def raise_watch_error(payload: Mapping[str, Any]) -> NoReturn:
    """Fail the task for an execution that could not be watched to its end.

    :param payload: the watch's ``"error"`` event.
    """
    from airflow_sm_pipelines.client.api_errors import parse_error_class

    code = str(payload["code"])
    error_class = parse_error_class(code)
    if error_class is PipelineApiError and code.endswith("Error"):
        error_class = PipelineUnavailableError
    with failing_fast():
        raise error_class(str(payload["message"]), code=code)
    raise AssertionError("unreachable")  # failing_fast passes on or replaces what is raised in it
