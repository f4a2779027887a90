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
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineConflictError, PipelineRequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition.json_value import JsonObject


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


class SageMakerCalls:
    """Calls to SageMaker and to the services that its pipelines use; a base for whatever has credentials.

    :ivar conn: a boto3 SageMaker client.
    """

    conn: Any

    @property
    def conn_region_name(self) -> str:
        """The region that calls go to."""
        raise NotImplementedError

    @property
    def account_id(self) -> str:
        """The caller's AWS account, 12 digits."""
        raise NotImplementedError

    def client_of(self, service: str, *, region_name: str | None = None) -> Any:
        """A boto3 client of another service with the same credentials.

        :param region_name: another region than ``conn_region_name``.
        """
        raise NotImplementedError

    def child_environment(self) -> dict[str, str]:
        """Credentials, region and endpoints as environment variables, for a child process that uses boto3.

        :raises PipelineAccessError: if there are no credentials.
        """
        raise NotImplementedError

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

    # --- executions -------------------------------------------------------------------------------------------------

    def start_execution(self, request: Mapping[str, Any], *, token: str) -> str:
        """Start an execution and give its ARN; the same token and request give the same execution again.

        :param request: ``StartPipelineExecution``'s input without ``ClientRequestToken``.
        :param token: 32 to 128 characters.
        """
        with mapped_errors("StartPipelineExecution", str(request.get("PipelineName"))):
            return str(self.conn.start_pipeline_execution(**request, ClientRequestToken=token)["PipelineExecutionArn"])

    def retry_execution(self, arn: str, *, token: str, parallelism: Mapping[str, Any] | None = None) -> None:
        """Resume a failed or stopped execution from the steps that did not succeed."""
        request: dict[str, Any] = {"PipelineExecutionArn": arn, "ClientRequestToken": token}
        if parallelism:
            request["ParallelismConfiguration"] = dict(parallelism)
        with mapped_errors("RetryPipelineExecution", arn):
            self.conn.retry_pipeline_execution(**request)

    def stop_execution(self, arn: str, *, token: str) -> bool:
        """Ask for an execution to stop; False if it had already ended or was stopping."""
        try:
            with mapped_errors("StopPipelineExecution", arn):
                self.conn.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token)
        except (PipelineConflictError, PipelineRequestError):
            # The service has one code for 'already ended' and for a wrong ARN; the state tells them apart.
            if self.describe_execution(arn).status != "Executing":
                return False
            raise
        return True

    def describe_execution_start(self, arn: str) -> tuple[ExecutionReport, datetime | None]:
        """An execution's state, without its steps, and when it was created."""
        report, created, _ = self.describe_execution_times(arn)
        return report, created

    def list_executions_page(self, *, token: str | None = None, **request: Any) -> tuple[list[JsonObject], str | None]:
        """One page of executions of a pipeline, newest first, and the token of the next page.

        :param token: what the page before gave; None for the first.
        :param request: ``ListPipelineExecutions``' arguments.
        """
        request |= {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
        if token is not None:
            request["NextToken"] = token
        with mapped_errors("ListPipelineExecutions", str(request.get("PipelineName"))):
            answer = self.conn.list_pipeline_executions(**request)
        return list(answer.get("PipelineExecutionSummaries") or ()), answer.get("NextToken")

    def describe_report(self, arn: str) -> ExecutionReport:
        """An execution's state with all its steps: two calls, and one more for each further hundred steps.

        The state is read first, so that a terminal state never comes with steps that are still running.
        """
        return self.describe_execution(arn).with_steps(self.describe_execution_steps(arn))

    def describe_execution_definition(self, arn: str) -> str:
        """The definition an execution runs, JSON text."""
        with mapped_errors("DescribePipelineDefinitionForExecution", arn):
            answer = self.conn.describe_pipeline_definition_for_execution(PipelineExecutionArn=arn)
        return str(answer["PipelineDefinition"])

    def describe_resource(self, operation: str, argument: str, value: str) -> JsonObject:
        """The answer of one ``Describe*`` call, such as ``describe_training_job``.

        :param operation: the boto3 method.
        :param argument: its one argument.
        :param value: the argument's value.
        """
        with mapped_errors(operation, value):
            answer = getattr(self.conn, operation)(**{argument: value})
        return {key: item for key, item in answer.items() if key != "ResponseMetadata"}

    # --- S3 and logs ------------------------------------------------------------------------------------------------

    def read_s3_text(self, uri: str) -> str:
        """The text of an S3 object.

        :param uri: ``s3://bucket/key``.
        """
        bucket, key = parse_s3_uri(uri)
        with mapped_errors("GetObject", uri):
            body: bytes = self.client_of("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body.decode("utf-8")

    def write_s3_text(self, uri: str, text: str) -> None:
        """Put a text into an S3 object."""
        bucket, key = parse_s3_uri(uri)
        with mapped_errors("PutObject", uri):
            self.client_of("s3").put_object(Bucket=bucket, Key=key, Body=text.encode("utf-8"))

    def read_log_tail(self, group: str, stream_prefix: str, *, max_lines: int) -> list[str]:
        """The last lines of the newest CloudWatch log stream with this prefix; empty when there is none."""
        from airflow_sm_pipelines.client.job_logs import read_stream_tail

        return read_stream_tail(self.client_of("logs"), group, stream_prefix, max_lines=max_lines)

    def _pages(self, operation: str, member: str, target: str, **request: Any) -> Iterator[dict[str, Any]]:
        with mapped_errors(operation, target):
            for page in self.conn.get_paginator(operation).paginate(**request):
                yield from page.get(member) or ()


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


def parse_s3_uri(uri: str) -> tuple[str, str]:
    """The bucket and key of ``s3://bucket/key``.

    :raises PipelineApiError: if it is something else.
    """
    scheme, _, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise PipelineApiError(f"'{uri}' is not an S3 object: expected s3://bucket/key.", code="InvalidS3Uri")
    return bucket, key
