"""OpenLineage for pipeline executions and deployments: the datasets that steps have read and written, and run facets.

Operators import this module only when the OpenLineage provider asks them, since it imports that provider. The provider
asks when the task has ended, in a fork of the worker, and gives ten seconds. Datasets are named as OpenLineage's
"Naming Conventions" have it: S3 as ``s3://bucket`` and key, a model package by its ARN as AWS Glue's tables are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import attrs
from airflow.providers.common.compat.openlineage.facet import Dataset
from airflow.providers.openlineage.extractors import OperatorLineage
from openlineage.client.facet_v2 import RunFacet

from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.step_outputs import read_data
from airflow_sm_pipelines.definition.arns import pipeline_arn_of
from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.client.outputs import OutputReader
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.deployment.deployer import Deployment

RUN_FACET = "sageMakerPipelineExecution"
"""The name of the run facet of an execution."""

DEPLOY_FACET = "sageMakerPipelineDeployment"
"""The name of the run facet of a deployment."""

MAX_SECONDS = 6.0
"""Seconds to spend on reading the steps' data; OpenLineage ends the whole extraction after ten seconds by default."""

_MAX_STEPS = 500


@attrs.define(kw_only=True)
class SageMakerPipelineExecutionRunFacet(RunFacet):  # type: ignore[misc, unused-ignore]
    """One pipeline execution: what ran, how it ended, and each step.

    :param url: the page of the execution.
    :param steps: name, type, status, seconds, job ARN and, where there is one, the failure's reason.
    :param isLineageComplete: False where the data of some step could not be read in time.
    """

    executionArn: str  # noqa: N815 - OpenLineage's spelling
    pipelineArn: str  # noqa: N815
    pipelineName: str  # noqa: N815
    pipelineVersionId: int | None  # noqa: N815
    status: str
    failureReason: str | None = None  # noqa: N815
    url: str | None = None
    steps: list[dict[str, Any]] = attrs.field(factory=list)
    isLineageComplete: bool = True  # noqa: N815


@attrs.define(kw_only=True)
class SageMakerPipelineDeploymentRunFacet(RunFacet):  # type: ignore[misc, unused-ignore]
    """One deployment: the version that is deployed now, and whether it is new.

    :param action: ``created``, ``updated`` or ``unchanged``.
    """

    pipelineArn: str  # noqa: N815 - OpenLineage's spelling
    pipelineName: str  # noqa: N815
    pipelineVersionId: int  # noqa: N815
    action: str
    definitionHash: str  # noqa: N815
    url: str | None = None


@dataclass(frozen=True, slots=True)
class ExecutionLineage:
    """The data of one execution.

    :param inputs: S3 URIs and ARNs that steps have read and no step of the execution has made.
    :param outputs: S3 URIs and ARNs.
    :param is_complete: False where the data of some step could not be read.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    is_complete: bool


def read_lineage(
    reader: OutputReader, report: ExecutionReport, *, max_seconds: float = MAX_SECONDS
) -> ExecutionLineage:
    """Read the data of every step that has succeeded, as long as there is time.

    Steps taken from the cache count, since the execution uses their data.
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
    if location := split_s3_uri(place):
        return f"s3://{location[0]}", location[1].strip("/") or "/"
    namespace, _, name = place.rpartition(":")
    return namespace, name


def make_run_facets(report: ExecutionReport, *, is_complete: bool, url: str | None) -> dict[str, Any]:
    """The run facet of an execution, by name.

    :param url: the page of the execution.
    """
    steps: list[dict[str, Any]] = to_json_value([step.summary() for step in report.steps[:_MAX_STEPS]])
    facet = SageMakerPipelineExecutionRunFacet(
        executionArn=report.arn,
        pipelineArn=pipeline_arn_of(report.arn),
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
    found = read_lineage(reader, report)
    return OperatorLineage(
        inputs=_datasets(found.inputs),
        outputs=_datasets(found.outputs),
        run_facets=make_run_facets(report, is_complete=found.is_complete, url=url),
    )


def make_no_lineage() -> Any:
    """The ``OperatorLineage`` of a task without an execution. OpenLineage warns of an operator that gives None."""
    return OperatorLineage()


def make_deploy_lineage(deployment: Deployment, *, url: str | None) -> Any:
    """The ``OperatorLineage`` of a deployment: a run facet; it reads and writes no data."""
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
    return [Dataset(*name_dataset(place)) for place in places]


def _is_within(place: str, others: Iterable[str]) -> bool:
    return any(place == other or place.startswith(f"{other}/") for other in others)
