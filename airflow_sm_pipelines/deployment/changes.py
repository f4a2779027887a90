"""What deploying a definition changes: the comparison with what is deployed, and what the calls need for it."""

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
    from airflow_sm_pipelines.client.calls import DeployedPipeline, SageMakerCalls
    from airflow_sm_pipelines.deployment.target import PipelineTarget

MAX_INLINE_BYTES = 100 * 1024
"""From this size on, a definition goes through S3, as in the SageMaker SDK."""


class DeployAction(str, Enum):
    """What a deployment did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """What an update would change.

    :param has_definition: whether the definition differs, so that the update makes a new version.
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


def plan_update(target: PipelineTarget, deployed: DeployedPipeline) -> UpdatePlan:
    """Compare by canonical form, so that key order, white space and number spelling make no version.

    Settings that the author left open are kept. UpdatePipeline drops a parallelism setting that it is not given
    (boto3 #4384), so the deployed one is sent along.
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


def write_definition(
    calls: SageMakerCalls, target: PipelineTarget, *, bucket: str | None, digest: str
) -> dict[str, Any]:
    """Write the definition to S3 if it is large, and give the arguments that name it, or hold it inline.

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

    CreatePipeline answers a taken name with ConflictException, or with ValidationException, which only its text tells
    from other validation errors (recorded: "Pipeline names must be unique within an AWS account and region").
    """
    return isinstance(error, PipelineConflictError) or (
        isinstance(error, PipelineRequestError) and "must be unique" in str(error)
    )
