"""The operations on pipelines: create, update, delete, describe, list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import PipelineDefinition, definition_hash, parse_definition
from airflow_sm_pipelines.definition.json_value import format_path
from airflow_sm_pipelines.definition.s3_uri import S3Location
from airflow_sm_pipelines.engine.operations.context import (
    OperationContext,
    Request,
    Response,
    perform_once,
    read_paging,
    require_pipeline,
    select_version,
    time_filters,
    without_none,
)
from airflow_sm_pipelines.engine.operations.versions import check_new_aliases
from airflow_sm_pipelines.engine.rules.argument_refusals import UNREADABLE, describe_refusal
from airflow_sm_pipelines.engine.rules.definition_limits import find_storage_fault, find_text_faults
from airflow_sm_pipelines.engine.rules.errors import ResolutionError, conflict, validation_error
from airflow_sm_pipelines.engine.store import PipelineRecord, VersionRecord
from airflow_sm_pipelines.engine.store.documents import from_ms
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_REFUSALS = 20
"""How many faults of a definition one error lists."""


def create_pipeline(context: OperationContext, request: Request) -> Response:
    """CreatePipeline: it makes the pipeline and its first version."""
    definition_text = _read_definition(context, request)
    if definition_text is None:
        raise validation_error("Either PipelineDefinition or PipelineDefinitionS3Location must be specified.")
    definition = check_definition(definition_text)
    name = request["PipelineName"]

    def perform() -> Response:
        if context.store.pipelines.find(name) is not None:
            raise validation_error(
                "Pipeline names must be unique within an AWS account and region."
                f" Pipeline with name ({name}) already exists."
            )
        now_ms = context.services.now_ms()
        arn = context.arns.pipeline(name)
        context.store.pipelines.add(
            PipelineRecord(
                name=name,
                arn=arn,
                display_name=request.get("PipelineDisplayName") or name,
                description=request.get("PipelineDescription"),
                role_arn=request.get("RoleArn"),
                parallelism=parallelism_of(request),
                created_ms=now_ms,
                modified_ms=now_ms,
                last_run_ms=None,
            )
        )
        _add_version(context, name, 1, definition_text, definition, aliases=request.get("PipelineVersionAliases") or [])
        context.store.tags.add(arn, request.get("Tags") or [])
        return {"PipelineArn": arn}

    return perform_once(context, "CreatePipeline", request, perform, pipeline=name)


def update_pipeline(context: OperationContext, request: Request) -> Response:
    """UpdatePipeline: it makes a new version only if the definition differs in meaning from the newest one."""
    definition_text = _read_definition(context, request)
    definition = check_definition(definition_text) if definition_text is not None else None
    aliases = request.get("PipelineVersionAliases") or []
    with context.store.transaction():
        pipeline = require_pipeline(context, request["PipelineName"])
        latest = context.store.pipelines.latest_version(pipeline.name)
        version = latest.version
        changes_definition = definition is not None and definition_hash(definition) != latest.hash
        if aliases and not changes_definition:
            raise validation_error(
                "PipelineVersionAliases can be specified only when the update changes the pipeline definition."
                " To change the aliases of an existing version, use UpdatePipelineVersion."
            )
        if changes_definition and definition is not None and definition_text is not None:
            version += 1
            _add_version(context, pipeline.name, version, definition_text, definition, aliases=aliases)
        values: dict[str, Any] = {"modified_ms": context.services.now_ms()}
        for member, column in (
            ("PipelineDisplayName", "display_name"),
            ("PipelineDescription", "description"),
            ("RoleArn", "role_arn"),
        ):
            if request.get(member) is not None:
                values[column] = request[member]
        if request.get("ParallelismConfiguration"):
            values["parallelism"] = parallelism_of(request)
        context.store.pipelines.update(pipeline.name, values)
        return {"PipelineArn": pipeline.arn, "PipelineVersionId": version}


def delete_pipeline(context: OperationContext, request: Request) -> Response:
    """DeletePipeline: it deletes the pipeline and all its executions, and is refused while one runs."""

    def perform() -> Response:
        pipeline = require_pipeline(context, request["PipelineName"])
        running = context.store.executions.open_ids(pipeline.name)
        if running:
            raise conflict(
                f"Pipeline '{pipeline.arn}' has {len(running)} running executions:"
                " stop them with StopPipelineExecution first."
            )
        context.store.pipelines.delete(pipeline.name)
        context.store.request_tokens.forget_pipeline(pipeline.name)
        context.store.tags.delete(pipeline.arn)
        return {"PipelineArn": pipeline.arn}

    return perform_once(context, "DeletePipeline", request, perform)


def describe_pipeline(context: OperationContext, request: Request) -> Response:
    """DescribePipeline: it shows the newest version, or the one named by number or alias."""
    pipeline = require_pipeline(context, request["PipelineName"])
    version = select_version(
        context, pipeline, version=request.get("PipelineVersionId"), alias=request.get("PipelineVersionAlias")
    )
    return without_none(
        PipelineArn=pipeline.arn,
        PipelineName=pipeline.name,
        PipelineDisplayName=pipeline.display_name,
        PipelineDefinition=version.definition,
        PipelineDescription=pipeline.description,
        RoleArn=pipeline.role_arn,
        PipelineStatus="Active",
        CreationTime=from_ms(pipeline.created_ms),
        LastModifiedTime=from_ms(pipeline.modified_ms),
        LastRunTime=from_ms(pipeline.last_run_ms) if pipeline.last_run_ms is not None else None,
        CreatedBy={},
        LastModifiedBy={},
        ParallelismConfiguration=parallelism_member(pipeline.parallelism),
        PipelineVersionDisplayName=version.display_name,
        PipelineVersionDescription=version.description,
        PipelineVersionAliases=context.store.pipelines.aliases(pipeline.name, version.version) or None,
    )


def list_pipelines(context: OperationContext, request: Request) -> Response:
    """ListPipelines, newest first by default. No pipeline here is managed by AWS."""
    if request.get("ManagedBy") == "AWS":
        return {"PipelineSummaries": []}
    paging = read_paging(
        "ListPipelines",
        request,
        columns={"Name": "name", "CreationTime": "created_ms"},
        default_sort="CreationTime",
        tie_column="name",
    )
    filters = time_filters(request, [("CreatedAfter", "created_ms > ?"), ("CreatedBefore", "created_ms < ?")])
    prefix = request.get("PipelineNamePrefix")
    if prefix:
        filters.append((f"substr(name, 1, {len(prefix)}) = ?", prefix))
    records, after = context.store.pipelines.page(filters, paging.page)
    summaries = [
        without_none(
            PipelineArn=record.arn,
            PipelineName=record.name,
            PipelineDisplayName=record.display_name,
            PipelineDescription=record.description,
            RoleArn=record.role_arn,
            CreationTime=from_ms(record.created_ms),
            LastModifiedTime=from_ms(record.modified_ms),
            LastExecutionTime=from_ms(record.last_run_ms) if record.last_run_ms is not None else None,
        )
        for record in records
    ]
    return {"PipelineSummaries": summaries, **paging.next_token(after)}


def check_definition(text: str) -> PipelineDefinition:
    """Parse a definition and check it.

    :raises ServiceError: ValidationException; the message lists every finding.
    """
    try:
        definition = parse_definition(text, name="PipelineDefinition")
    except DefinitionError as error:
        raise validation_error(f"{UNREADABLE} {error}") from error
    faults = find_text_faults(definition)
    if fault := find_storage_fault(text):
        faults.append(fault)
    if faults:
        raise validation_error(f"{UNREADABLE} {' '.join(faults)}")
    refusals = [*_iter_argument_refusals(definition)]
    if refusals:
        raise validation_error(" ".join(refusals[:MAX_REFUSALS]))
    return definition


def _iter_argument_refusals(definition: PipelineDefinition) -> Iterator[str]:
    from airflow_sm_pipelines.policy.arguments import iter_argument_faults

    for found in iter_argument_faults(definition):
        refusal = describe_refusal(found.fault) if found.is_certain else None
        if refusal is not None:
            yield f"{refusal} (step '{found.step}', {format_path((*found.path, *found.fault.path))})"


def parallelism_of(request: Request) -> int | None:
    """The MaxParallelExecutionSteps of a request, if it has one."""
    configuration = request.get("ParallelismConfiguration") or {}
    value = configuration.get("MaxParallelExecutionSteps")
    return int(value) if value is not None else None


def parallelism_member(value: int | None) -> dict[str, int] | None:
    """The ParallelismConfiguration of an answer."""
    return {"MaxParallelExecutionSteps": value} if value is not None else None


def _read_definition(context: OperationContext, request: Request) -> str | None:
    text = request.get("PipelineDefinition")
    location = request.get("PipelineDefinitionS3Location")
    if text is not None and location is not None:
        raise validation_error("PipelineDefinition and PipelineDefinitionS3Location cannot be specified together.")
    if location is None:
        return text
    try:
        place = S3Location(location["Bucket"], location["ObjectKey"])
        return context.services.read_object(place, version_id=location.get("VersionId")).decode("utf-8")
    except (ResolutionError, UnicodeDecodeError) as error:
        raise validation_error(f"The pipeline definition cannot be read from S3. {error}") from error


def _add_version(
    context: OperationContext,
    name: str,
    version: int,
    text: str,
    definition: PipelineDefinition,
    *,
    aliases: list[str],
) -> None:
    check_new_aliases(context, name, version, aliases)
    context.store.pipelines.add_version(
        VersionRecord(
            pipeline=name,
            version=version,
            definition=text,
            hash=definition_hash(definition),
            display_name=None,
            description=None,
            created_ms=context.services.now_ms(),
            last_execution_arn=None,
        )
    )
    context.store.pipelines.add_aliases(name, version, aliases)
