"""Finds the web pages of a pipeline, an execution or a job: in the AWS console, or on an endpoint that is not AWS.

``resolve_…`` takes a hook and decides where its calls go; ``make_…`` only writes an address.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_sm_pipelines.client.callbacks import find_callback
from airflow_sm_pipelines.client.job_logs import resolve_log_location
from airflow_sm_pipelines.definition.arns import parse_execution_arn, pipeline_name_of
from airflow_sm_pipelines.links.buttons import (
    SageMakerCallbackQueueLink,
    SageMakerJobLogsLink,
    SageMakerPipelineExecutionLink,
    SageMakerPipelineLink,
)
from airflow_sm_pipelines.local_endpoint import CONSOLE_VARIABLE, make_log_page_url, make_pipeline_page_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_STUDIOS = {"aws": "sagemaker.aws"}


def resolve_pipeline_links(
    hook: SageMakerPipelinesHook, *, pipeline: str, execution_arn: str | None, studio_domain_id: str | None
) -> dict[str, str]:
    """The links of a pipeline and, where there is one, of its execution: addresses by XCom key.

    :param pipeline: the pipeline's name or ARN.
    """
    name = pipeline_name_of(pipeline)
    execution_id = parse_execution_arn(execution_arn)[1] if execution_arn else None
    found = {SageMakerPipelineLink.key: _resolve_pipeline(hook, name, None, studio_domain_id)}
    if execution_id:
        found[SageMakerPipelineExecutionLink.key] = _resolve_pipeline(hook, name, execution_id, studio_domain_id)
    return {key: url for key, url in found.items() if url}


def resolve_logs_link(hook: SageMakerPipelinesHook, report: ExecutionReport) -> dict[str, str]:
    """The link to the logs of the first step that failed, or else of the last step that ran a job."""
    for step in report.failed_steps or tuple(reversed(report.steps)):
        if resolve_log_location(step.job_arn):
            url = _resolve_logs(hook, step)
            return {SageMakerJobLogsLink.key: url} if url else {}
    return {}


def resolve_queue_link(hook: SageMakerPipelinesHook, step: StepReport | None) -> dict[str, str]:
    """The link to the queue of a Callback step that waits for its answer; empty where no console shows it."""
    url = (find_callback(step) or {}).get("SqsQueueUrl")
    if not url or not hook.is_aws_endpoint or hook.conn_partition not in _CONSOLES:
        return {}
    region = hook.conn_region_name
    address = f"https://{region}.{_CONSOLES[hook.conn_partition]}/sqs/v3/home?region={region}#/queues/"
    return {SageMakerCallbackQueueLink.key: address + quote(str(url), safe="")}


def resolve_step_logs(hook: SageMakerPipelinesHook, steps: Iterable[StepReport]) -> dict[str, str]:
    """The pages with the logs of the steps' jobs, by step name; a job without such a page is left out."""
    found = {step.name: _resolve_logs(hook, step) for step in steps}
    return {name: url for name, url in found.items() if url}


def make_pipeline_url(
    pipeline_name: str,
    *,
    region: str,
    partition: str,
    studio_domain_id: str | None = None,
    execution_id: str | None = None,
) -> str | None:
    """The page of a pipeline, or of one of its executions; None for a partition whose console is not known here.

    :param studio_domain_id: ``d-…``; pipelines are shown in Studio, and a Studio address begins with its domain.
    :param execution_id: the last part of the execution's ARN.
    """
    if studio_domain_id and partition in _STUDIOS:
        address = (
            f"https://studio-{studio_domain_id}.studio.{region}.{_STUDIOS[partition]}/pipelines/view/{pipeline_name}"
        )
        return f"{address}/executions/{execution_id}/graph" if execution_id else f"{address}/executions"
    if partition not in _CONSOLES:
        return None
    return f"https://{region}.{_CONSOLES[partition]}/sagemaker/home?region={region}#/studio-landing"


def make_logs_url(group: str, stream_prefix: str, *, region: str, partition: str) -> str | None:
    """The page of a job's log streams; None for a partition whose console is not known here."""
    if partition not in _CONSOLES:
        return None
    address = f"https://{region}.{_CONSOLES[partition]}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
    address += _console_quote(group)
    return f"{address}$3FlogStreamNameFilter$3D{_console_quote(stream_prefix)}" if stream_prefix else address


def _resolve_logs(hook: SageMakerPipelinesHook, step: StepReport) -> str | None:
    location = resolve_log_location(step.job_arn)
    if step.job_arn is None or location is None:
        return None
    if hook.is_aws_endpoint:
        return make_logs_url(*location, region=hook.conn_region_name, partition=hook.conn_partition)
    console = os.environ.get(CONSOLE_VARIABLE)
    return make_log_page_url(console, step.job_arn) if console and location[1] else None


def _resolve_pipeline(
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
    return make_pipeline_page_url(console, name, execution_id=execution_id) if console else None


def _console_quote(text: str) -> str:
    """Quoted twice, the second time with ``$`` for ``%``: what the CloudWatch console expects after ``#``."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")
