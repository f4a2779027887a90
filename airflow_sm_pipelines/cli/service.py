"""What the commands ask of SageMaker: the deployed definition, and an execution's definition and steps.

It may be the service or a local endpoint; AWS_ENDPOINT_URL decides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.sources import UnreadableSourceError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from airflow_sm_pipelines.cli.following import ExecutionReader
    from airflow_sm_pipelines.client.calls import PipelineCalls
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


def open_calls(options: argparse.Namespace) -> PipelineCalls:
    """The calls on pipelines and versions, with the options' profile and region."""
    from airflow_sm_pipelines.client.calls import ClientCalls

    return ClientCalls(_client(options))


def open_reader(options: argparse.Namespace, *, log_lines: int, is_live: bool) -> ExecutionReader:
    """A reader of executions, with the options' profile and region."""
    from airflow_sm_pipelines.cli.following import ExecutionReader

    return ExecutionReader(_client(options), _client(options, "logs"), log_lines=log_lines, is_live=is_live)


def open_costs(options: argparse.Namespace) -> CostCalls:
    """The calls that costs are made of, with the options' profile and region."""
    from airflow_sm_pipelines.client.costs import CostCalls

    def client_of(service: str, *, region_name: str | None = None) -> Any:
        return _client(options, service, region_name=region_name)

    return CostCalls(client_of, _client(options).meta.region_name)


def _client(options: argparse.Namespace, service: str = "sagemaker", *, region_name: str | None = None) -> Any:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(profile_name=options.profile, region_name=region_name or options.region).client(service)
    except BotoCoreError as error:
        raise UnreadableSourceError(f"SageMaker cannot be asked: {error}") from None


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
