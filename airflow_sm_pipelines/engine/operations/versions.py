"""The operations on pipeline versions and their aliases."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.operations.context import (
    OperationContext,
    Request,
    Response,
    read_paging,
    require_pipeline,
    select_version,
    time_filters,
    without_none,
)
from airflow_sm_pipelines.engine.rules.errors import conflict, validation_error
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAX_ALIASES = 10
_ALIAS = re.compile(r"[a-zA-Z0-9._\-]{1,128}")


def list_pipeline_versions(context: OperationContext, request: Request) -> Response:
    """ListPipelineVersions, newest first by default."""
    pipeline = require_pipeline(context, request["PipelineName"])
    paging = read_paging(
        "ListPipelineVersions",
        request,
        columns={"CreationTime": "version"},
        default_sort="CreationTime",
        tie_column="version",
    )
    filters = [
        ("pipeline = ?", pipeline.name),
        *time_filters(request, [("CreatedAfter", "created_ms > ?"), ("CreatedBefore", "created_ms < ?")]),
    ]
    records, after = context.store.pipelines.page_versions(filters, paging.page)
    summaries = [
        without_none(
            PipelineArn=pipeline.arn,
            PipelineVersionId=record.version,
            CreationTime=from_ms(record.created_ms),
            PipelineVersionDescription=record.description,
            PipelineVersionDisplayName=record.display_name,
            LastExecutionPipelineExecutionArn=record.last_execution_arn,
            PipelineVersionAliases=context.store.pipelines.aliases(pipeline.name, record.version) or None,
        )
        for record in records
    ]
    return {"PipelineVersionSummaries": summaries, **paging.next_token(after)}


def update_pipeline_version(context: OperationContext, request: Request) -> Response:
    """UpdatePipelineVersion: it changes name, description and aliases. Aliases are removed before others are added."""
    operations = request.get("PipelineVersionAliasOperations") or {}
    added, removed = operations.get("Add") or [], operations.get("Remove") or []
    with context.store.transaction():
        pipeline = require_pipeline(context, request["PipelineArn"])
        version = select_version(context, pipeline, version=request["PipelineVersionId"], alias=None)
        current = context.store.pipelines.aliases(pipeline.name, version.version)
        missing = [alias for alias in removed if alias not in current]
        if missing:
            raise validation_error(f"Version {version.version} does not have the aliases {missing}. It has {current}.")
        if set(added) & set(removed):
            raise validation_error(f"Aliases cannot be both added and removed: {sorted(set(added) & set(removed))}.")
        context.store.pipelines.remove_aliases(pipeline.name, removed)
        new = [alias for alias in dict.fromkeys(added) if alias not in current]
        check_new_aliases(context, pipeline.name, version.version, new)
        context.store.pipelines.add_aliases(pipeline.name, version.version, new)
        values = without_none(
            display_name=request.get("PipelineVersionDisplayName"),
            description=request.get("PipelineVersionDescription"),
        )
        context.store.pipelines.update_version(pipeline.name, version.version, values)
        return {"PipelineArn": pipeline.arn, "PipelineVersionId": version.version}


def check_new_aliases(context: OperationContext, pipeline: str, version: int, aliases: Sequence[str]) -> None:
    """Check that a version may get these aliases.

    Rules from the API model: at most 10 for a version, unique in the pipeline, 1-128 of ``[a-zA-Z0-9._-]``, not only
    digits.

    :raises ServiceError: ValidationException or ConflictException.
    """
    for alias in aliases:
        if not _ALIAS.fullmatch(alias) or alias.isdigit():
            raise validation_error(
                f"'{alias}' is not a version alias: 1-128 letters, digits, periods, hyphens and"
                " underscores, not digits only."
            )
        owner = context.store.pipelines.alias_version(pipeline, alias)
        if owner is not None:
            raise conflict(
                f"The alias '{alias}' is assigned to version {owner} of pipeline '{pipeline}': remove it there before"
                f" you add it to version {version}."
            )
    if len(set(aliases)) < len(aliases):
        raise validation_error(f"Aliases must be unique: {list(aliases)}.")
    total = len(context.store.pipelines.aliases(pipeline, version)) + len(aliases)
    if total > _MAX_ALIASES:
        raise validation_error(f"Version {version} would have {total} aliases; at most {_MAX_ALIASES} are allowed.")
