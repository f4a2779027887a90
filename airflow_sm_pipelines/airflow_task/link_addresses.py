"""The addresses of an execution's links, for the endpoint that a hook talks to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from airflow_sm_pipelines.client.job_logs import resolve_log_location
from airflow_sm_pipelines.client.reports import parse_execution_arn
from airflow_sm_pipelines.links.console import (
    CONSOLE_VARIABLE,
    EXECUTION_LINK_KEY,
    LOGS_LINK_KEY,
    PIPELINE_LINK_KEY,
    make_endpoint_logs_url,
    make_endpoint_url,
    make_logs_url,
    make_pipeline_url,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook


def resolve_pipeline_links(
    hook: SageMakerPipelinesHook, *, pipeline: str, execution_arn: str | None, studio_domain_id: str | None
) -> dict[str, str]:
    """The links of a pipeline and, where there is one, of its execution: addresses by XCom key.

    :param pipeline: the pipeline's name or ARN.
    """
    name = pipeline.rpartition("/")[2]
    execution_id = parse_execution_arn(execution_arn)[1] if execution_arn else None
    found = {PIPELINE_LINK_KEY: _pipeline_url(hook, name, None, studio_domain_id)}
    if execution_id:
        found[EXECUTION_LINK_KEY] = _pipeline_url(hook, name, execution_id, studio_domain_id)
    return {key: url for key, url in found.items() if url}


def resolve_logs_link(hook: SageMakerPipelinesHook, report: ExecutionReport) -> dict[str, str]:
    """The link to the logs of the first step that failed, or else of the last step that ran a job."""
    for step in report.failed_steps or tuple(reversed(report.steps)):
        if resolve_log_location(step.job_arn):
            url = _logs_url(hook, step)
            return {LOGS_LINK_KEY: url} if url else {}
    return {}


def resolve_step_logs(hook: SageMakerPipelinesHook, steps: Iterable[StepReport]) -> dict[str, str]:
    """Where the logs of each step's job are shown, by step name; a job whose logs are shown nowhere is left out."""
    found = {step.name: _logs_url(hook, step) for step in steps}
    return {name: url for name, url in found.items() if url}


def _logs_url(hook: SageMakerPipelinesHook, step: StepReport) -> str | None:
    location = resolve_log_location(step.job_arn)
    if step.job_arn is None or location is None:
        return None
    if hook.is_aws_endpoint:
        return make_logs_url(*location, region=hook.conn_region_name, partition=hook.conn_partition)
    console = os.environ.get(CONSOLE_VARIABLE)
    return make_endpoint_logs_url(console, step.job_arn) if console and location[1] else None


def _pipeline_url(
    hook: SageMakerPipelinesHook, name: str, execution_id: str | None, studio_domain_id: str | None
) -> str | None:
    if hook.is_aws_endpoint:
        return make_pipeline_url(
            name,
            region=hook.conn_region_name,
            partition=hook.conn_partition,
            studio_domain_id=studio_domain_id,
            execution_id=execution_id,
        )
    console = os.environ.get(CONSOLE_VARIABLE)
    return make_endpoint_url(console, name, execution_id=execution_id) if console else None
