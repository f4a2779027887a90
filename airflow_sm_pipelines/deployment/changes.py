"""What deploying a definition changes: compared with what is deployed (pure), then done."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import (
    DefinitionError,
    PipelineApiError,
    PipelineConflictError,
    PipelineRequestError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.client.calls import DeployedPipeline, PipelineVersion, SageMakerCalls
    from airflow_sm_pipelines.definition import PipelineDefinition

MAX_INLINE_BYTES = 100 * 1024
"""From this size on a definition goes through S3, as the SageMaker SDK does it."""


class DeployAction(str, Enum):
    """What a deployment did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class PipelineTarget:
    """The pipeline as its author wants it; None means: leave as it is.

    :param parallelism: ``{"MaxParallelExecutionSteps": n}``.
    :param tags: added or changed; others on the pipeline stay.
    """

    name: str
    text: str
    definition: PipelineDefinition
    role_arn: str | None
    description: str | None
    display_name: str | None
    parallelism: Mapping[str, Any] | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """What an update would change.

    :param has_definition: whether the definition differs, so that a new version comes of it.
    :param request: ``UpdatePipeline``'s other arguments.
    :param lines: the changes, for people.
    """

    has_definition: bool
    request: dict[str, Any]
    lines: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not self.lines


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias that has to point to another version.

    :param holder: the version it points to now; None if it does not exist.
    """

    alias: str
    holder: int | None


def plan_update(target: PipelineTarget, deployed: DeployedPipeline) -> UpdatePlan:
    """Compare by canonical form, so that key order, white space and number spelling make no version.

    Settings the author left open are kept. UpdatePipeline drops a parallelism setting it is not given (boto3 #4384), so
    the deployed one is sent along.
    """
    from airflow_sm_pipelines.definition import definition_hash, diff_definitions, parse_definition, render_changes

    lines: list[str] = []
    try:
        old = parse_definition(deployed.definition_text, name=f"deployed {deployed.name}")
    except DefinitionError as error:
        has_definition = True
        lines.append(f"The deployed definition cannot be read, so it is replaced: {error}")
    else:
        has_definition = definition_hash(old) != definition_hash(target.definition)
        if has_definition:
            lines += render_changes(diff_definitions(old, target.definition)).splitlines() or [
                "The definition changed."
            ]
    request: dict[str, Any] = {}
    for key, label, wanted, present in (
        ("RoleArn", "role", target.role_arn, deployed.role_arn),
        ("PipelineDescription", "description", target.description, deployed.description),
        ("PipelineDisplayName", "display name", target.display_name, deployed.display_name),
        ("ParallelismConfiguration", "parallelism", target.parallelism, deployed.parallelism),
    ):
        if wanted is not None and wanted != present:
            request[key] = wanted
            lines.append(f"{label}: {present!r} -> {wanted!r}")
    if lines and deployed.parallelism and "ParallelismConfiguration" not in request:
        request["ParallelismConfiguration"] = deployed.parallelism
    return UpdatePlan(has_definition=has_definition, request=request, lines=tuple(lines))


def plan_alias_moves(
    aliases: Iterable[str], *, version_id: int, versions: Sequence[PipelineVersion]
) -> tuple[AliasMove, ...]:
    """The aliases that do not point to the version yet."""
    holders = {alias: version.id for version in versions for alias in version.aliases}
    return tuple(
        AliasMove(alias, holders.get(alias)) for alias in dict.fromkeys(aliases) if holders.get(alias) != version_id
    )


def move_aliases(
    calls: SageMakerCalls, *, pipeline_arn: str, version_id: int, moves: Sequence[AliasMove], log: Any
) -> None:
    """Point aliases to a version: taken from their holders, then added, and given back if adding fails.

    Between the two calls an alias points nowhere: the API has no atomic move.

    :raises PipelineApiError: the first refusal, after everything was put back.
    """
    removed: list[AliasMove] = []
    try:
        for move in moves:
            if move.holder is not None:
                calls.update_version_aliases(pipeline_arn, move.holder, remove=[move.alias])
                removed.append(move)
        if moves:
            calls.update_version_aliases(pipeline_arn, version_id, add=[move.alias for move in moves])
    except PipelineApiError as error:
        for move in removed:
            try:
                calls.update_version_aliases(pipeline_arn, int(move.holder or 0), add=[move.alias])
            except PipelineApiError as undo_error:
                log.error(
                    "Alias '%s' was taken from version %s and could not be given back: %s",
                    move.alias,
                    move.holder,
                    undo_error,
                )
        if removed:
            log.error("Aliases were not moved to version %s: %s", version_id, error)
        raise
    for move in moves:
        log.info("Alias '%s': version %s -> version %s", move.alias, move.holder or "none", version_id)


def make_definition_arguments(
    calls: SageMakerCalls, target: PipelineTarget, *, bucket: str | None, digest: str
) -> dict[str, Any]:
    """The definition as an API argument: inline, or through S3 when it is large.

    :param bucket: where large definitions go; None for SageMaker's default bucket of the account and region.
    """
    if len(target.text.encode("utf-8")) < MAX_INLINE_BYTES:
        return {"PipelineDefinition": target.text}
    bucket = bucket or f"sagemaker-{calls.conn_region_name}-{calls.account_id}"
    key = f"{target.name}/definition-{digest[:16]}.json"
    calls.write_s3_text(f"s3://{bucket}/{key}", target.text)
    return {"PipelineDefinitionS3Location": {"Bucket": bucket, "ObjectKey": key}}


def is_already_there(error: PipelineApiError) -> bool:
    """Whether a create call lost a race against another one.

    CreatePipeline answers a taken name with ValidationException or ConflictException; the API has only text to tell
    this from other validation errors (recorded: "Pipeline names must be unique within an AWS account and region").
    """
    return isinstance(error, PipelineConflictError) or (
        isinstance(error, PipelineRequestError) and "must be unique" in str(error)
    )
