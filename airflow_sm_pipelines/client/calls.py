"""Calls on pipelines and versions through any boto3 client: every page, our errors, no Airflow.

The hook makes them through an Airflow connection, ``sm-pipelines`` through boto3's own credentials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.reports import (
    ExecutionReport,
    StepReport,
    parse_execution,
    parse_execution_summary,
    parse_step,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class DeployedPipeline:
    """A pipeline version as ``DescribePipeline`` tells it.

    :param definition_text: the pipeline definition, JSON text.
    :param parallelism: ``{"MaxParallelExecutionSteps": n}`` or None.
    """

    name: str
    arn: str
    definition_text: str
    role_arn: str | None
    description: str | None
    display_name: str | None
    parallelism: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class PipelineVersion:
    """One version of a pipeline, with the aliases that point to it.

    :param last_execution_arn: the execution that last ran it; None if none did.
    """

    id: int
    aliases: tuple[str, ...]
    display_name: str | None = None
    description: str | None = None
    created: datetime | None = None
    last_execution_arn: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineSummary:
    """A pipeline as ``ListPipelines`` tells it."""

    name: str
    arn: str
    created: datetime | None
    last_execution: datetime | None


class PipelineCalls:
    """The calls; a base for what has a client.

    :ivar conn: a boto3 SageMaker client.
    """

    conn: Any

    # --- pipelines and versions -------------------------------------------------------------------------------------

    def describe_pipeline(self, name: str, *, version: str | int | None = None) -> DeployedPipeline:
        """A pipeline, or one version of it.

        :param name: the pipeline's name or ARN.
        :param version: a version id, or an alias; None for the latest.
        :raises PipelineNotFoundError: if there is no such pipeline, version or alias.
        """
        with mapped_errors("DescribePipeline", _target(name, version)):
            answer = self.conn.describe_pipeline(PipelineName=name, **plan_version_arguments(version))
        return DeployedPipeline(
            name=answer.get("PipelineName", name),
            arn=answer["PipelineArn"],
            definition_text=answer.get("PipelineDefinition", ""),
            role_arn=answer.get("RoleArn"),
            description=answer.get("PipelineDescription"),
            display_name=answer.get("PipelineDisplayName"),
            parallelism=answer.get("ParallelismConfiguration"),
        )

    def list_versions(self, name: str) -> list[PipelineVersion]:
        """Every version of a pipeline, newest first."""
        items = self._pages("list_pipeline_versions", "PipelineVersionSummaries", name, PipelineName=name)
        versions = [
            PipelineVersion(
                id=int(item["PipelineVersionId"]),
                aliases=tuple(item.get("PipelineVersionAliases") or ()),
                display_name=item.get("PipelineVersionDisplayName"),
                description=item.get("PipelineVersionDescription"),
                created=item.get("CreationTime"),
                last_execution_arn=item.get("LastExecutionPipelineExecutionArn"),
            )
            for item in items
        ]
        return sorted(versions, key=lambda version: version.id, reverse=True)

    def create_pipeline(self, name: str, **request: Any) -> str:
        """Create a pipeline and give its ARN; ``request`` is ``CreatePipeline``'s without the name."""
        with mapped_errors("CreatePipeline", name):
            return str(self.conn.create_pipeline(PipelineName=name, **request)["PipelineArn"])

    def update_pipeline(self, name: str, **request: Any) -> tuple[str, int | None]:
        """Update a pipeline: its ARN and the id of the version it made, if it made one."""
        with mapped_errors("UpdatePipeline", name):
            answer = self.conn.update_pipeline(PipelineName=name, **request)
        version = answer.get("PipelineVersionId")
        return str(answer["PipelineArn"]), None if version is None else int(version)

    def update_version_aliases(
        self, pipeline_arn: str, version_id: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        """Add aliases to a version, or remove them from it."""
        operations = {key: list(value) for key, value in (("Add", add), ("Remove", remove)) if value}
        with mapped_errors("UpdatePipelineVersion", f"{pipeline_arn} version {version_id}"):
            self.conn.update_pipeline_version(
                PipelineArn=pipeline_arn, PipelineVersionId=version_id, PipelineVersionAliasOperations=operations
            )

    def describe_version_as(
        self, pipeline_arn: str, version_id: int, *, display_name: str | None, description: str | None
    ) -> None:
        """Give a version a display name and a description; None leaves what it has."""
        named = {"PipelineVersionDisplayName": display_name, "PipelineVersionDescription": description}
        request = {key: value for key, value in named.items() if value is not None}
        with mapped_errors("UpdatePipelineVersion", f"{pipeline_arn} version {version_id}"):
            self.conn.update_pipeline_version(PipelineArn=pipeline_arn, PipelineVersionId=version_id, **request)

    def list_pipelines(self, *, prefix: str = "") -> list[PipelineSummary]:
        """Every pipeline of the account and region whose name begins so, newest first."""
        request = {"PipelineNamePrefix": prefix} if prefix else {}
        items = self._pages(
            "list_pipelines",
            "PipelineSummaries",
            prefix or "*",
            SortBy="CreationTime",
            SortOrder="Descending",
            **request,
        )
        return [
            PipelineSummary(
                name=item["PipelineName"],
                arn=item["PipelineArn"],
                created=item.get("CreationTime"),
                last_execution=item.get("LastExecutionTime"),
            )
            for item in items
        ]

    def list_executions(self, pipeline: str) -> Iterator[ExecutionReport]:
        """The executions of a pipeline, newest first, without their steps; pages are read as they are needed."""
        items = self._pages(
            "list_pipeline_executions",
            "PipelineExecutionSummaries",
            pipeline,
            PipelineName=pipeline,
            SortBy="CreationTime",
            SortOrder="Descending",
        )
        return (parse_execution_summary(item) for item in items)

    def delete_pipeline(self, name: str, *, token: str) -> None:
        """Delete a pipeline with all its versions; SageMaker refuses while an execution runs."""
        with mapped_errors("DeletePipeline", name):
            self.conn.delete_pipeline(PipelineName=name, ClientRequestToken=token)

    def list_tags(self, arn: str) -> dict[str, str]:
        """The tags of a pipeline."""
        return {item["Key"]: item["Value"] for item in self._pages("list_tags", "Tags", arn, ResourceArn=arn)}

    def add_tags(self, arn: str, tags: Mapping[str, str]) -> None:
        """Add tags to a pipeline, or change their values; no tag is removed."""
        with mapped_errors("AddTags", arn):
            self.conn.add_tags(ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in tags.items()])

    def describe_execution(self, arn: str) -> ExecutionReport:
        """An execution's state, without its steps."""
        with mapped_errors("DescribePipelineExecution", arn):
            return parse_execution(self.conn.describe_pipeline_execution(PipelineExecutionArn=arn))

    def describe_execution_times(self, arn: str) -> tuple[ExecutionReport, datetime | None, datetime | None]:
        """An execution's state, without its steps; when it was created, and when it last changed."""
        with mapped_errors("DescribePipelineExecution", arn):
            answer = self.conn.describe_pipeline_execution(PipelineExecutionArn=arn)
            return parse_execution(answer), answer.get("CreationTime"), answer.get("LastModifiedTime")

    def describe_execution_steps(self, arn: str) -> tuple[StepReport, ...]:
        """Every scheduled step of an execution, in the order they started."""
        items = self._pages(
            "list_pipeline_execution_steps",
            "PipelineExecutionSteps",
            arn,
            PipelineExecutionArn=arn,
            SortOrder="Ascending",
        )
        return tuple(parse_step(item) for item in items)

    def _pages(self, operation: str, member: str, target: str, **request: Any) -> Iterator[dict[str, Any]]:
        with mapped_errors(operation, target):
            for page in self.conn.get_paginator(operation).paginate(**request):
                yield from page.get(member) or ()


class ClientCalls(PipelineCalls):
    """The same through a client that is there already."""

    def __init__(self, client: Any) -> None:
        """Call through this SageMaker client."""
        self.conn = client


def plan_version_arguments(version: str | int | None) -> dict[str, Any]:
    """``PipelineVersionId`` for a number, ``PipelineVersionAlias`` for a word, nothing for None or an empty text.

    An alias cannot consist of digits only (API reference, ``PipelineVersionAliasList``), so digits are an id.
    """
    text = "" if version is None else str(version).strip()
    if text in ("", "None"):
        return {}
    if text.isdigit():
        return {"PipelineVersionId": int(text)}
    return {"PipelineVersionAlias": text}


def _target(name: str, version: str | int | None) -> str:
    arguments = plan_version_arguments(version)
    return f"{name} version {next(iter(arguments.values()))}" if arguments else name
