"""Pushes the addresses of an execution's links, as soon as each is known."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.hooks.job_logs import resolve_log_location
from airflow_sm_pipelines.hooks.reports import parse_execution_arn
from airflow_sm_pipelines.links.console import (
    CONSOLE_VARIABLE,
    EXECUTION_LINK_KEY,
    LOGS_LINK_KEY,
    PIPELINE_LINK_KEY,
    make_endpoint_url,
    make_logs_url,
    make_pipeline_url,
)

if TYPE_CHECKING:
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.hooks.reports import ExecutionReport


def push_pipeline_links(
    ti: Any, hook: SageMakerPipelinesHook, *, pipeline: str, execution_arn: str | None, studio_domain_id: str | None
) -> None:
    """Push the links of a pipeline and, where there is one, of its execution.

    :param pipeline: the pipeline's name or ARN.
    """
    name = pipeline.rpartition("/")[2]
    execution_id = parse_execution_arn(execution_arn)[1] if execution_arn else None
    for key, wanted in ((PIPELINE_LINK_KEY, None), (EXECUTION_LINK_KEY, execution_id)):
        if key == EXECUTION_LINK_KEY and not execution_id:
            continue
        url = _pipeline_url(hook, name, wanted, studio_domain_id)
        if url:
            ti.xcom_push(key=key, value=url)


def push_logs_link(ti: Any, hook: SageMakerPipelinesHook, report: ExecutionReport) -> None:
    """Push the link to the logs of the first step that failed, or else of the last step that ran a job."""
    steps = report.failed_steps or tuple(reversed(report.steps))
    location = next((found for step in steps if (found := resolve_log_location(step.job_arn))), None)
    if location is None or not hook.is_aws_endpoint:
        return
    url = make_logs_url(*location, region=hook.conn_region_name, partition=hook.conn_partition)
    if url:
        ti.xcom_push(key=LOGS_LINK_KEY, value=url)


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
