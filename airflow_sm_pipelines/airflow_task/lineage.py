"""OpenLineage for pipeline executions: the datasets that the steps read and wrote, and a run facet.

Only called where the OpenLineage provider is installed and on; it asks when the task has ended, in a fork of the worker
that has ten seconds. Naming: S3 as ``s3://bucket`` and key, a model package by its ARN as AWS Glue's tables are
(OpenLineage, "Naming Conventions").
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.step_outputs import read_data
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.client.outputs import OutputReader
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.deployment.deployer import Deployment

RUN_FACET = "sageMakerPipelineExecution"
DEPLOY_FACET = "sageMakerPipelineDeployment"

MAX_SECONDS = 6.0
"""How long steps are asked for their data; OpenLineage ends the whole extraction after ten seconds by default."""

_MAX_STEPS = 500


@dataclass(frozen=True, slots=True)
class ExecutionLineage:
    """What one execution read and wrote.

    :param inputs: S3 URIs and ARNs that no step of the execution itself made.
    :param outputs: S3 URIs and ARNs.
    :param is_complete: False where some step could not be asked.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_complete: bool


def read_lineage(
    reader: OutputReader, report: ExecutionReport, *, max_seconds: float = MAX_SECONDS
) -> ExecutionLineage:
    """Ask every step that ended well for its data, as long as there is time.

    Steps taken from the cache count: their data is what the execution stands on.
    """
    deadline = time.monotonic() + max_seconds
    inputs: dict[str, None] = {}
    outputs: dict[str, None] = {}
    is_complete = True
    for step in report.steps:
        if step.status != "Succeeded" or not step.metadata:
            continue
        if time.monotonic() > deadline:
            is_complete = False
            break
        try:
            data = read_data(*reader.describe(step))
        except (LookupError, PipelineApiError):
            is_complete = False
            continue
        inputs |= dict.fromkeys(place.rstrip("/") for place in data.inputs)
        outputs |= dict.fromkeys(place.rstrip("/") for place in data.outputs)
    from_outside = [place for place in inputs if not _is_within(place, outputs)]
    return ExecutionLineage(tuple(from_outside), tuple(outputs), is_complete)


def name_dataset(place: str) -> tuple[str, str]:
    """OpenLineage's namespace and name of an S3 URI or an ARN."""
    if place.startswith("s3://"):
        bucket, _, key = place.removeprefix("s3://").partition("/")
        return f"s3://{bucket}", key.strip("/") or "/"
    namespace, _, name = place.rpartition(":")
    return namespace, name


def make_run_facets(report: ExecutionReport, *, is_complete: bool, url: str | None) -> dict[str, Any]:
    """The run facet of an execution, by name.

    :param url: where the execution is shown.
    """
    from airflow_sm_pipelines.airflow_task.lineage_facets import SageMakerPipelineExecutionRunFacet

    steps: list[dict[str, Any]] = to_json_value([step.summary() for step in report.steps[:_MAX_STEPS]])
    facet = SageMakerPipelineExecutionRunFacet(
        executionArn=report.arn,
        pipelineArn=report.arn.partition("/execution/")[0],
        pipelineName=report.pipeline_name,
        pipelineVersionId=report.pipeline_version_id,
        status=str(report.status),
        failureReason=report.failure_reason,
        url=url or None,
        steps=steps,
        isLineageComplete=is_complete,
    )
    return {RUN_FACET: facet}


def make_execution_lineage(reader: OutputReader, report: ExecutionReport, *, url: str | None) -> Any:
    """The ``OperatorLineage`` of an execution: datasets and run facet."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    found = read_lineage(reader, report)
    return OperatorLineage(
        inputs=_datasets(found.inputs),
        outputs=_datasets(found.outputs),
        run_facets=make_run_facets(report, is_complete=found.is_complete, url=url),
    )


def make_deploy_lineage(deployment: Deployment, *, url: str | None) -> Any:
    """The ``OperatorLineage`` of a deployment: a run facet; it reads and writes no data."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    from airflow_sm_pipelines.airflow_task.lineage_facets import SageMakerPipelineDeploymentRunFacet

    facet = SageMakerPipelineDeploymentRunFacet(
        pipelineArn=deployment.pipeline_arn,
        pipelineName=deployment.pipeline_name,
        pipelineVersionId=deployment.version_id,
        action=deployment.action,
        definitionHash=deployment.definition_hash,
        url=url or None,
    )
    return OperatorLineage(run_facets={DEPLOY_FACET: facet})


def _datasets(places: Iterable[str]) -> list[Any]:
    from airflow.providers.common.compat.openlineage.facet import Dataset

    return [Dataset(*name_dataset(place)) for place in places]


def _is_within(place: str, others: Iterable[str]) -> bool:
    return any(place == other or place.startswith(f"{other}/") for other in others)
