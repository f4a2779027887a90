"""What the commands ask of SageMaker: the deployed definition, and an execution's definition and steps.

It may be the service or a local endpoint; AWS_ENDPOINT_URL decides.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.sources import UnreadableSourceError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.hooks.calls import PipelineCalls

_JOB_KINDS = {
    "ProcessingJob": "Processing",
    "TrainingJob": "Training",
    "TransformJob": "Transform",
    "QualityCheck": "Processing",
    "ClarifyCheck": "Processing",
}
"""The job behind a step, by the key of its metadata."""


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
    from airflow_sm_pipelines.hooks.calls import ClientCalls

    return ClientCalls(_client(options))


def describe_execution(arn: str, options: argparse.Namespace) -> dict[str, Any]:
    """An execution's description.

    :raises UnreadableSourceError: when SageMaker cannot be asked, or knows no such execution.
    """
    client = _client(options)
    return _ask(lambda: client.describe_pipeline_execution(PipelineExecutionArn=arn))  # type: ignore[no-any-return]


def list_step_jobs(steps: list[dict[str, Any]], options: argparse.Namespace) -> list[tuple[str, str, dict[str, Any]]]:
    """The jobs that steps started: the step's name, the kind of the job, and its description.

    A tuning job is its training jobs. A step that took a cached result has started none.

    :param steps: what ``ListPipelineExecutionSteps`` answered.
    :raises UnreadableSourceError: when SageMaker cannot be asked.
    """
    client = _client(options)
    jobs = []
    for step in steps:
        if (step.get("CacheHitResult") or {}).get("SourcePipelineExecutionArn"):
            continue
        for kind, name in _job_names(client, step.get("Metadata") or {}):
            describe = getattr(client, f"describe_{kind.lower()}_job")
            jobs.append((str(step["StepName"]), kind, _ask(partial(describe, **{f"{kind}JobName": name}))))
    return jobs


def ask_cost_explorer(request: dict[str, Any], options: argparse.Namespace) -> list[dict[str, Any]]:
    """All pages of Cost Explorer's answer.

    :raises UnreadableSourceError: when it cannot be asked.
    """
    client = _client(options, "ce")
    pages: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = _ask(partial(client.get_cost_and_usage, **request, **token))
        pages.append(page)
        if not page.get("NextPageToken"):
            return pages
        token = {"NextPageToken": page["NextPageToken"]}


def _job_names(client: Any, metadata: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for key, kind in _JOB_KINDS.items():
        arn = (metadata.get(key) or {}).get("Arn") or (metadata.get(key) or {}).get("CheckJobArn")
        if arn:
            yield kind, str(arn).rpartition("/")[2]
    tuning = (metadata.get("TuningJob") or {}).get("Arn")
    if tuning:
        name = str(tuning).rpartition("/")[2]
        paginator = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job")
        pages = paginator.paginate(HyperParameterTuningJobName=name)
        for summary in _ask(lambda: [item for page in pages for item in page["TrainingJobSummaries"]]):
            yield "Training", str(summary["TrainingJobName"])


def _client(options: argparse.Namespace, service: str = "sagemaker") -> Any:
    import boto3
    from botocore.exceptions import BotoCoreError

    try:
        return boto3.Session(profile_name=options.profile, region_name=options.region).client(service)
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
