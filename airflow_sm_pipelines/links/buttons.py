"""Links to SageMaker Studio and CloudWatch: the addresses (pure), and the buttons that show them.

An operator pushes a link's whole address as soon as it is known; the button only reads it back. Where calls do not
go to AWS there is no address, so no button leads nowhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey

EXECUTION_LINK_KEY = "sagemaker_execution_link"
PIPELINE_LINK_KEY = "sagemaker_pipeline_link"
LOGS_LINK_KEY = "sagemaker_logs_link"

_CONSOLES = {
    "aws": "console.aws.amazon.com",
    "aws-cn": "console.amazonaws.cn",
    "aws-us-gov": "console.amazonaws-us-gov.com",
}
_STUDIOS = {"aws": "sagemaker.aws"}

CONSOLE_VARIABLE = "SM_PIPELINES_CONSOLE_URL"
"""Environment variable: the address of pages that show pipelines of an endpoint that is not AWS."""


class _ConsoleLink(BaseOperatorLink):
    """Gives the address that the operator published."""

    key = ""

    @property
    def xcom_key(self) -> str:
        """The XCom that holds the address."""
        return self.key

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or nothing where the operator found none.

        Airflow asks on the worker, after each phase of a task, and writes the answer to the XCom that the UI reads;
        so the operator that has just run knows, and nothing is fetched.
        """
        addresses: Any = getattr(operator, "link_addresses", None) or {}
        return str(addresses.get(self.key, ""))


class SageMakerPipelineExecutionLink(_ConsoleLink):
    """The execution's graph in SageMaker Studio; Studio itself where the operator knows no domain."""

    name = "SageMaker execution"
    key = EXECUTION_LINK_KEY


class SageMakerPipelineLink(_ConsoleLink):
    """The pipeline and its executions in SageMaker Studio; Studio itself where the operator knows no domain."""

    name = "SageMaker pipeline"
    key = PIPELINE_LINK_KEY


class SageMakerJobLogsLink(_ConsoleLink):
    """The CloudWatch logs of the step that failed, or of the last step that ran a job."""

    name = "Step logs"
    key = LOGS_LINK_KEY


def make_pipeline_url(
    pipeline_name: str,
    *,
    region: str,
    partition: str,
    studio_domain_id: str | None = None,
    execution_id: str | None = None,
) -> str | None:
    """Where a pipeline, or one of its executions, is shown; None for a partition whose console is not known here.

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


def make_endpoint_url(console_url: str, pipeline_name: str, *, execution_id: str | None = None) -> str:
    """Where an endpoint that is not AWS shows a pipeline, or one of its executions.

    :param console_url: the value of :data:`CONSOLE_VARIABLE`.
    """
    address = f"{console_url.rstrip('/')}/pipelines/{quote(pipeline_name)}"
    return f"{address}/executions/{quote(execution_id)}" if execution_id else address


def make_endpoint_logs_url(console_url: str, job_arn: str) -> str:
    """Where an endpoint that is not AWS shows a job's log.

    :param console_url: the value of :data:`CONSOLE_VARIABLE`.
    :param job_arn: ``arn:…:training-job/<name>``.
    """
    return f"{console_url.rstrip('/')}/logs/{quote(job_arn.rpartition(':')[2])}"


def make_logs_url(group: str, stream_prefix: str, *, region: str, partition: str) -> str | None:
    """Where the log streams of a job are shown; None for a partition whose console is not known here."""
    if partition not in _CONSOLES:
        return None
    address = f"https://{region}.{_CONSOLES[partition]}/cloudwatch/home?region={region}#logsV2:log-groups/log-group/"
    address += _console_quote(group)
    return f"{address}$3FlogStreamNameFilter$3D{_console_quote(stream_prefix)}" if stream_prefix else address


def _console_quote(text: str) -> str:
    """Quoted twice, the second time with ``$`` for ``%``: what the CloudWatch console expects after ``#``."""
    return quote(quote(text, safe=""), safe="").replace("%", "$")
