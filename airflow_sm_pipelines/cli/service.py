"""What the commands ask of SageMaker: the deployed definition, and an execution's definition and steps.

It may be the service or a local endpoint; AWS_ENDPOINT_URL decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.sources import UnreadableSourceError
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_sm_pipelines.cli.following import ExecutionReader
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.costs import CostCalls


def describe_deployed_definition(name: str, options: argparse.Namespace) -> str | None:
    """The definition of a pipeline's newest version, or ``None`` when there is no such pipeline.

    :raises UnreadableSourceError: when SageMaker cannot be asked.
    """
    client = _client(options)
    answer = _ask(lambda: client.describe_pipeline(PipelineName=name), missing=None)
    return None if answer is None else str(answer["PipelineDefinition"])


def describe_execution_definition(arn: str, options: argparse.Namespace) -> str:
    """The definition that an execution runs.

    :raises UnreadableSourceError: when SageMaker cannot be asked, or knows no such execution.
    """
    client = _client(options)
    answer = _ask(lambda: client.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn))
    return str(answer["PipelineDefinition"])


def list_execution_steps(arn: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The steps of an execution, all pages.

    :raises UnreadableSourceError: when SageMaker cannot be asked, or knows no such execution.
    """
    pages = _client(options).get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
    return _ask(lambda: [item for page in pages for item in page["PipelineExecutionSteps"]])  # type: ignore[no-any-return]


def open_calls(options: argparse.Namespace) -> SageMakerCalls:
    """The calls to SageMaker, with the options' profile and region.

    :raises UnreadableSourceError: when there is no such profile, or no region.
    """
    import boto3
    from botocore.exceptions import BotoCoreError

    from airflow_sm_pipelines.client.session_calls import SessionCalls

    try:
        return SessionCalls(boto3.Session(profile_name=options.profile, region_name=options.region))
    except (BotoCoreError, PipelineApiError) as error:
        raise UnreadableSourceError(f"SageMaker cannot be asked: {error}") from None


def open_reader(options: argparse.Namespace, *, log_lines: int, is_live: bool) -> ExecutionReader:
    """A reader of executions, with the options' profile and region."""
    from airflow_sm_pipelines.cli.following import ExecutionReader

    return ExecutionReader(open_calls(options), log_lines=log_lines, is_live=is_live)


def open_costs(options: argparse.Namespace) -> CostCalls:
    """The calls that costs are made of, with the options' profile and region."""
    from airflow_sm_pipelines.client.costs import CostCalls

    return CostCalls(open_calls(options))


def _client(options: argparse.Namespace) -> Any:
    return open_calls(options).conn


def _ask(call: Callable[[], Any], **answers: Any) -> Any:
    """The answer, or ``missing`` where it was given and there is no such thing."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code")
        if code in ("ResourceNotFound", "ResourceNotFoundException") and "missing" in answers:
            return answers["missing"]
        raise UnreadableSourceError(f"SageMaker refused: {error}") from None
    except BotoCoreError as error:
        raise UnreadableSourceError(f"SageMaker cannot be asked: {error}") from None
