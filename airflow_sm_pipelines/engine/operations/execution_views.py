"""The operations that show executions, and their steps, parameters and definition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.operations.context import (
    OperationContext,
    Request,
    Response,
    read_paging,
    require_execution,
    require_pipeline,
    select_version,
    time_filters,
    without_none,
)
from airflow_sm_pipelines.engine.operations.pipelines import parallelism_member
from airflow_sm_pipelines.engine.operations.resource_lists import cut_page
from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.rules.resolver import text_or_json
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.store import StepRecord, VersionRecord
    from airflow_sm_pipelines.engine.store.database import Page

_MAX_ITEM_CHARACTERS = 12800


def describe_pipeline_execution(context: OperationContext, request: Request) -> Response:
    """DescribePipelineExecution."""
    record = require_execution(context, request["PipelineExecutionArn"])
    return without_none(
        PipelineArn=context.arns.pipeline(record.pipeline),
        PipelineExecutionArn=record.arn,
        PipelineExecutionDisplayName=record.display_name,
        PipelineExecutionStatus=record.status.value,
        PipelineExecutionDescription=record.description,
        PipelineExperimentConfig=record.experiment or None,
        FailureReason=record.failure_reason,
        CreationTime=from_ms(record.created_ms),
        LastModifiedTime=from_ms(record.modified_ms),
        CreatedBy={},
        LastModifiedBy={},
        ParallelismConfiguration=parallelism_member(record.parallelism),
        SelectiveExecutionConfig=record.selection,
        MLflowConfig=record.mlflow,
        PipelineVersionId=record.version,
        PipelineVersionAliases=context.store.pipelines.aliases(record.pipeline, record.version) or None,
        RoleArn=record.role_arn,
    )


def describe_definition_for_execution(context: OperationContext, request: Request) -> Response:
    """DescribePipelineDefinitionForExecution: the definition from which the execution was started."""
    record = require_execution(context, request["PipelineExecutionArn"])
    version = _version(context, record.pipeline, record.version)
    return {"PipelineDefinition": version.definition, "CreationTime": from_ms(version.created_ms)}


def list_parameters_for_execution(context: OperationContext, request: Request) -> Response:
    """ListPipelineParametersForExecution: every parameter with its value as text, including defaults."""
    record = require_execution(context, request["PipelineExecutionArn"])
    parameters = [{"Name": name, "Value": str(value)} for name, value in record.parameters.items()]
    page, more = cut_page("ListPipelineParametersForExecution", request, parameters)
    return {"PipelineParameters": page, **more}


def list_pipeline_executions(context: OperationContext, request: Request) -> Response:
    """ListPipelineExecutions, newest first by default."""
    pipeline = require_pipeline(context, request["PipelineName"])
    paging = read_paging(
        "ListPipelineExecutions",
        request,
        columns={"CreationTime": "created_ms", "PipelineExecutionArn": "arn"},
        default_sort="CreationTime",
        tie_column="id",
    )
    filters: list[tuple[str, Any]] = [
        ("pipeline = ?", pipeline.name),
        *time_filters(request, [("CreatedAfter", "created_ms > ?"), ("CreatedBefore", "created_ms < ?")]),
    ]
    if request.get("PipelineVersionAlias"):
        version = select_version(context, pipeline, version=None, alias=request["PipelineVersionAlias"])
        filters.append(("version = ?", version.version))
    records, after = context.store.executions.page(filters, paging.page)
    # Read once for each version, since a watcher of many executions calls this often.
    aliases = {
        number: context.store.pipelines.aliases(pipeline.name, number)
        for number in {record.version for record in records}
    }
    summaries = [
        without_none(
            PipelineExecutionArn=record.arn,
            StartTime=from_ms(record.created_ms),
            PipelineExecutionStatus=record.status.value,
            PipelineExecutionDescription=record.description,
            PipelineExecutionDisplayName=record.display_name,
            PipelineExecutionFailureReason=record.failure_reason,
            PipelineVersionAliases=aliases[record.version] or None,
        )
        for record in records
    ]
    return {"PipelineExecutionSummaries": summaries, **paging.next_token(after)}


def list_pipeline_execution_steps(context: OperationContext, request: Request) -> Response:
    """ListPipelineExecutionSteps: the scheduled steps, newest first by default."""
    if not request.get("PipelineExecutionArn"):
        raise validation_error("PipelineExecutionArn must be specified.")
    record = require_execution(context, request["PipelineExecutionArn"])
    paging = read_paging(
        "ListPipelineExecutionSteps",
        request,
        columns={"StartTime": "started_ms"},
        default_sort="StartTime",
        tie_column="seq",
    )
    page: Page = paging.page
    steps, after = context.store.steps.page(record.id, page)
    parsed = context.definitions.load(_version(context, record.pipeline, record.version))
    members = []
    for step in steps:
        declared = parsed.declared_step(step.name, parent=step.parent)
        members.append(_step_member(step, display_name=declared.display_name, description=declared.description))
    return {"PipelineExecutionSteps": members, **paging.next_token(after)}


def _step_member(step: StepRecord, *, display_name: str | None, description: str | None) -> Response:
    return without_none(
        StepName=step.name,
        StepDisplayName=display_name,
        StepDescription=description,
        StartTime=from_ms(step.started_ms),
        EndTime=from_ms(step.ended_ms) if step.ended_ms is not None else None,
        StepStatus=step.status.value,
        CacheHitResult={"SourcePipelineExecutionArn": step.cache_source} if step.cache_source else None,
        FailureReason=step.failure_reason,
        Metadata=step.metadata,
        AttemptCount=step.attempt,
        SelectiveExecutionResult=(
            {"SourcePipelineExecutionArn": step.selective_source} if step.selective_source else None
        ),
        IterationContext=(
            {
                "ParentStepName": step.parent,
                "Index": step.iteration,
                "Item": text_or_json(step.item)[:_MAX_ITEM_CHARACTERS],
            }
            if step.parent is not None
            else None
        ),
    )


def _version(context: OperationContext, pipeline: str, number: int) -> VersionRecord:
    version = context.store.pipelines.find_version(pipeline, number)
    if version is None:
        raise LookupError(f"Version {number} of pipeline '{pipeline}' is gone.")
    return version
