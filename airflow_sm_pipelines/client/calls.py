"""The calls on pipelines, versions and executions: they read every page, and raise our errors.

:class:`SageMakerCalls` needs a boto3 client and nothing of Airflow. The hook makes the client from an Airflow
connection, :class:`~airflow_sm_pipelines.client.session_calls.SessionCalls` from boto3's own credentials.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sm_pipelines.client.answers import ANSWER_PAUSES, UNREADABLE_ANSWER, ask, ask_pages
from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.old_clients import knows_aliases, require_aliases
from airflow_sm_pipelines.client.reports import (
    ExecutionReport,
    StepReport,
    parse_execution,
    parse_execution_summary,
    parse_step,
)
from airflow_sm_pipelines.client.valid_names import check_pipeline_names
from airflow_sm_pipelines.definition.s3_uri import split_s3_uri
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.exceptions import (
    PipelineAccessError,
    PipelineApiError,
    PipelineConflictError,
    PipelineRequestError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.option_reader import TAG_MEMBERS, parse_named_values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition.json_value import JsonObject

Result = TypeVar("Result")

_SUMMARY_MEMBERS = ("PipelineExecutionArn", "PipelineExecutionStatus")
"""Without these, an answer does not tell about an execution."""

DESCRIBED_MEMBERS = {"describe_model_package": "ModelPackageArn"}
"""For Describe calls whose answer may lack the member that their argument is called by: one that it has."""


@dataclass(frozen=True, slots=True)
class DeployedPipeline:
    """A pipeline version, from ``DescribePipeline``.

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

    :param last_execution_arn: the newest execution of this version; None if there is none.
    """

    id: int
    aliases: tuple[str, ...]
    display_name: str | None = None
    description: str | None = None
    created: datetime | None = None
    last_execution_arn: str | None = None


@dataclass(frozen=True, slots=True)
class PipelineSummary:
    """A pipeline, from ``ListPipelines``."""

    name: str
    arn: str
    created: datetime | None
    last_execution: datetime | None


class SageMakerCalls:
    """Calls to SageMaker and to the services that its pipelines use. Subclasses bring the credentials.

    :ivar conn: a boto3 SageMaker client.
    :ivar answer_pauses: seconds to wait before an unreadable answer is asked for again, once for each entry.
    """

    conn: Any
    answer_pauses: Sequence[float] = ANSWER_PAUSES

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

    def ask(
        self, operation: str, target: str, *, service: str = "sagemaker", is_repeatable: bool = True, **request: Any
    ) -> dict[str, Any]:
        """Make one call, and give its answer once all of it can be trusted.

        :param operation: the boto3 method, such as ``describe_pipeline``.
        :param target: what is asked about, for messages.
        :param service: whose method it is.
        :param is_repeatable: whether the call may be made again after an unreadable answer.
        :param request: the other arguments of :func:`~airflow_sm_pipelines.client.answers.ask`.
        :raises ArgumentError: if it names a pipeline in a way that none can be called. AWS answers with a pattern.
        """
        check_pipeline_names(request)
        pauses = self.answer_pauses if is_repeatable else ()
        return ask(self._open_client(service), operation, target, pauses=pauses, **request)

    def _open_client(self, service: str) -> Any:
        with mapped_errors("CreateClient", service):
            return self.conn if service == "sagemaker" else self.client_of(service)

    def knows_aliases(self) -> bool:
        """Whether the installed boto3 can read and move aliases of pipeline versions."""
        return knows_aliases(self._open_client("sagemaker"))

    def require_aliases(self) -> None:
        """Refuse a boto3 that cannot read or move aliases of pipeline versions.

        :raises OldClientError: naming the boto3 that can.
        """
        require_aliases(self._open_client("sagemaker"))

    # --- pipelines and versions -------------------------------------------------------------------------------------

    def describe_pipeline(self, name: str, *, version: str | int | None = None) -> DeployedPipeline:
        """A pipeline, or one version of it.

        :param name: the pipeline's name or ARN.
        :param version: a version id, or an alias; None for the latest.
        :raises PipelineNotFoundError: if there is no such pipeline, version or alias.
        """
        answer = self.ask(
            "describe_pipeline",
            _target(name, version),
            required=("PipelineArn", "PipelineDefinition"),
            PipelineName=name,
            **plan_version_arguments(version),
        )
        return DeployedPipeline(
            name=answer.get("PipelineName", name),
            arn=answer["PipelineArn"],
            definition_text=answer["PipelineDefinition"],
            role_arn=answer.get("RoleArn"),
            description=answer.get("PipelineDescription"),
            display_name=answer.get("PipelineDisplayName"),
            parallelism=answer.get("ParallelismConfiguration"),
        )

    def list_versions(self, name: str) -> list[PipelineVersion]:
        """Every version of a pipeline, newest first; without their aliases where the client does not know them."""
        items = self._pages(
            "list_pipeline_versions",
            "PipelineVersionSummaries",
            name,
            each=("PipelineVersionId",),
            PipelineName=name,
        )
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
        """Create a pipeline, and give its ARN.

        :param request: ``CreatePipeline``'s input without the name.
        """
        answer = self.ask(
            "create_pipeline", name, is_repeatable=False, required=("PipelineArn",), PipelineName=name, **request
        )
        return str(answer["PipelineArn"])

    def update_pipeline(self, name: str, **request: Any) -> tuple[str, int | None]:
        """Update a pipeline.

        :param request: ``UpdatePipeline``'s input without the name.
        :return: the pipeline's ARN, and the id of the new version; None where the update made none.
        """
        answer = self.ask(
            "update_pipeline", name, is_repeatable=False, required=("PipelineArn",), PipelineName=name, **request
        )
        version = answer.get("PipelineVersionId")
        return str(answer["PipelineArn"]), None if version is None else int(version)

    def update_version_aliases(
        self, pipeline_arn: str, version_id: int, *, add: Sequence[str] = (), remove: Sequence[str] = ()
    ) -> None:
        """Add aliases to a version, or remove them from it."""
        operations = {key: list(value) for key, value in (("Add", add), ("Remove", remove)) if value}
        self._update_version(pipeline_arn, version_id, PipelineVersionAliasOperations=operations)

    def update_version_labels(
        self, pipeline_arn: str, version_id: int, *, display_name: str | None, description: str | None
    ) -> None:
        """Give a version a display name and a description; None leaves what it has."""
        named = {"PipelineVersionDisplayName": display_name, "PipelineVersionDescription": description}
        request = {key: value for key, value in named.items() if value is not None}
        self._call_again(lambda: self._update_version(pipeline_arn, version_id, **request))

    def _update_version(self, pipeline_arn: str, version_id: int, **request: Any) -> None:
        """Not repeated here: adding an alias twice is refused, so the second answer would hide the first."""
        target = f"{pipeline_arn} version {version_id}"
        answer = self.ask(
            "update_pipeline_version",
            target,
            is_repeatable=False,
            required=("PipelineArn", "PipelineVersionId"),
            PipelineArn=pipeline_arn,
            PipelineVersionId=version_id,
            **request,
        )
        if answer["PipelineVersionId"] != version_id:
            raise PipelineUnavailableError(
                f"UpdatePipelineVersion on '{target}' was answered for version {answer['PipelineVersionId']}.",
                code=UNREADABLE_ANSWER,
            )

    def list_pipelines(self, *, prefix: str = "") -> list[PipelineSummary]:
        """Every pipeline of the account and region, newest first.

        :param prefix: only those whose name begins so.
        """
        request = {"PipelineNamePrefix": prefix} if prefix else {}
        items = self._pages(
            "list_pipelines",
            "PipelineSummaries",
            prefix or "*",
            each=("PipelineName", "PipelineArn"),
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
        """The executions of a pipeline, newest first, without their steps. Pages are read as they are needed."""
        items = self._pages(
            "list_pipeline_executions",
            "PipelineExecutionSummaries",
            pipeline,
            each=_SUMMARY_MEMBERS,
            PipelineName=pipeline,
            SortBy="CreationTime",
            SortOrder="Descending",
        )
        return (parse_execution_summary(item) for item in items)

    def delete_pipeline(self, name: str, *, token: str) -> None:
        """Delete a pipeline with all its versions. SageMaker refuses this while an execution runs."""
        self.ask(
            "delete_pipeline",
            name,
            is_repeatable=False,
            required=("PipelineArn",),
            PipelineName=name,
            ClientRequestToken=token,
        )

    def list_tags(self, arn: str) -> dict[str, str]:
        """The tags of a pipeline."""
        items = self._pages("list_tags", "Tags", arn, each=("Key",), ResourceArn=arn)
        return {item["Key"]: item.get("Value", "") for item in items}

    def add_tags(self, arn: str, tags: Mapping[str, str] | Sequence[Mapping[str, str]]) -> None:
        """Add tags to a pipeline, or change their values. No tag is removed.

        :param tags: values by key, or AWS's list of ``{"Key": ..., "Value": ...}``.
        """
        named = parse_named_values("tags", tags, members=TAG_MEMBERS)
        listed = [{"Key": key, "Value": str(value)} for key, value in named.items()]
        self.ask("add_tags", arn, required=("Tags",), entries={"Tags": ("Key",)}, ResourceArn=arn, Tags=listed)

    def describe_execution(self, arn: str) -> ExecutionReport:
        """An execution's state, without its steps."""
        return self.describe_execution_times(arn)[0]

    def describe_execution_times(self, arn: str) -> tuple[ExecutionReport, datetime | None, datetime | None]:
        """An execution's state without its steps, when it was created, and when it last changed; both aware."""
        answer = self.ask("describe_pipeline_execution", arn, required=_SUMMARY_MEMBERS, PipelineExecutionArn=arn)
        return parse_execution(answer), answer.get("CreationTime"), answer.get("LastModifiedTime")

    def describe_execution_steps(self, arn: str) -> tuple[StepReport, ...]:
        """Every scheduled step of an execution, in the order they started."""
        return tuple(parse_step(item) for item in self.iter_step_answers(arn))

    def list_execution_parameters(self, arn: str) -> dict[str, str]:
        """The pipeline parameters of an execution by name, with those that have their defaults."""
        items = self._pages(
            "list_pipeline_parameters_for_execution",
            "PipelineParameters",
            arn,
            each=("Name", "Value"),
            PipelineExecutionArn=arn,
        )
        return {str(item["Name"]): str(item["Value"]) for item in items}

    def iter_step_answers(self, arn: str) -> Iterator[dict[str, Any]]:
        """The same steps as ``ListPipelineExecutionSteps`` answers them. Pages are read as they are needed."""
        return self._pages(
            "list_pipeline_execution_steps",
            "PipelineExecutionSteps",
            arn,
            each=("StepName", "StepStatus"),
            PipelineExecutionArn=arn,
            SortOrder="Ascending",
        )

    # --- executions -------------------------------------------------------------------------------------------------

    def start_execution(self, request: Mapping[str, Any], *, token: str) -> str:
        """Start an execution, and give its ARN. The same token and request give the same execution again.

        :param request: ``StartPipelineExecution``'s input without ``ClientRequestToken``.
        :param token: 32 to 128 characters.
        """
        answer = self.ask(
            "start_pipeline_execution",
            str(request.get("PipelineName")),
            required=("PipelineExecutionArn",),
            **request,
            ClientRequestToken=token,
        )
        return str(answer["PipelineExecutionArn"])

    def retry_execution(self, arn: str, *, token: str, parallelism: Mapping[str, Any] | None = None) -> None:
        """Resume a failed or stopped execution from the steps that did not succeed."""
        request: dict[str, Any] = {"PipelineExecutionArn": arn, "ClientRequestToken": token}
        if parallelism:
            request["ParallelismConfiguration"] = dict(parallelism)
        self.ask("retry_pipeline_execution", arn, required=("PipelineExecutionArn",), **request)

    def stop_execution(self, arn: str, *, token: str) -> bool:
        """Ask SageMaker to stop an execution; False if it had already ended or was stopping.

        A call that was refused for a moment, or has no answer, is made again: whoever stops an execution is often the
        last that knows of it.
        """
        return self._call_again(lambda: self._stop_execution(arn, token=token), PipelineAccessError)

    def _stop_execution(self, arn: str, *, token: str) -> bool:
        try:
            self.ask(
                "stop_pipeline_execution",
                arn,
                is_repeatable=False,
                required=("PipelineExecutionArn",),
                PipelineExecutionArn=arn,
                ClientRequestToken=token,
            )
        except PipelineUnavailableError as error:
            # An answer that cannot be read may hide a stop that was accepted.
            if error.code != UNREADABLE_ANSWER or self.describe_execution(arn).status == "Executing":
                raise
        except (PipelineConflictError, PipelineRequestError):
            # The service has one code for 'already ended' and for a wrong ARN. The execution's state tells which.
            if self.describe_execution(arn).status != "Executing":
                return False
            raise
        return True

    def _call_again(self, call: Callable[[], Result], *errors: type[PipelineApiError]) -> Result:
        """Make a call that may be made twice; again after no clear answer, or after one of these errors."""
        passing: tuple[type[PipelineApiError], ...] = (PipelineUnavailableError, *errors)
        for pause in self.answer_pauses:
            try:
                return call()
            except passing:
                time.sleep(pause)
        return call()

    def describe_execution_start(self, arn: str) -> tuple[ExecutionReport, datetime | None]:
        """An execution's state, without its steps, and when it was created."""
        report, created, _ = self.describe_execution_times(arn)
        return report, created

    def list_executions_page(self, *, token: str | None = None, **request: Any) -> tuple[list[JsonObject], str | None]:
        """One page of executions of a pipeline, newest first, and the token of the next page.

        :param token: the token that came with the page before; None for the first page.
        :param request: ``ListPipelineExecutions``' arguments.
        """
        request |= {"SortBy": "CreationTime", "SortOrder": "Descending", "MaxResults": 100}
        if token is not None:
            request["NextToken"] = token
        answer = self.ask(
            "list_pipeline_executions",
            str(request.get("PipelineName")),
            required=("PipelineExecutionSummaries",),
            entries={"PipelineExecutionSummaries": _SUMMARY_MEMBERS},
            **request,
        )
        return list(answer["PipelineExecutionSummaries"]), answer.get("NextToken")

    def describe_report(self, arn: str) -> ExecutionReport:
        """An execution's state with all its steps: two calls, and one more for each further hundred steps.

        The state is read before the steps, so that the steps of an ended execution have ended too. A pipeline has at
        least one step, so a success without any is asked about again.

        :raises PipelineUnavailableError: if a successful execution still has no steps.
        """
        report = self.describe_execution(arn)
        steps = self.describe_execution_steps(arn)
        if report.status == ExecutionStatus.SUCCEEDED:
            for pause in self.answer_pauses:
                if steps:
                    break
                time.sleep(pause)
                steps = self.describe_execution_steps(arn)
            if not steps:
                text = f"ListPipelineExecutionSteps on '{arn}' names no step, though the execution has succeeded."
                raise PipelineUnavailableError(text, code=UNREADABLE_ANSWER)
        return report.with_steps(steps)

    def describe_execution_definition(self, arn: str) -> str:
        """The definition that an execution runs, JSON text."""
        answer = self.ask(
            "describe_pipeline_definition_for_execution",
            arn,
            required=("PipelineDefinition",),
            PipelineExecutionArn=arn,
        )
        return str(answer["PipelineDefinition"])

    def describe_resource(self, operation: str, argument: str, value: str) -> JsonObject:
        """The answer of one ``Describe*`` call, such as ``describe_training_job``.

        :param operation: the boto3 method.
        :param argument: its one argument.
        :param value: the argument's value.
        """
        required = DESCRIBED_MEMBERS.get(operation, argument)
        request: dict[str, Any] = {argument: value}
        answer = self.ask(operation, value, required=(required,), **request)
        return {key: item for key, item in answer.items() if key != "ResponseMetadata"}

    def list_tuned_jobs(self, tuning_job: str, *, status: str | None = None) -> list[str]:
        """The names of the training jobs that a tuning job has started, the newest first.

        :param status: only those of this status.
        """
        filters = {"StatusEquals": status} if status else {}
        items = self._pages(
            "list_training_jobs_for_hyper_parameter_tuning_job",
            "TrainingJobSummaries",
            tuning_job,
            each=("TrainingJobName",),
            HyperParameterTuningJobName=tuning_job,
            SortBy="CreationTime",
            SortOrder="Descending",
            **filters,
        )
        return [str(item["TrainingJobName"]) for item in items]

    # --- S3 and logs ------------------------------------------------------------------------------------------------

    def read_s3_text(self, uri: str) -> str:
        """The text of an S3 object.

        :param uri: ``s3://bucket/key``.
        """
        place = _locate_object(uri)
        answer = self.ask("get_object", uri, service="s3", required=("Body", "ETag"), **place)
        try:
            with mapped_errors("GetObject", uri):
                body: bytes = answer["Body"].read()
            return body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise PipelineApiError(f"'{uri}' is no text: {error}.", code="NotText") from error

    def write_s3_text(self, uri: str, text: str) -> None:
        """Put a text into an S3 object."""
        place = _locate_object(uri)
        self.ask("put_object", uri, service="s3", required=("ETag",), **place, Body=text.encode("utf-8"))

    def read_log_tail(self, group: str, stream_prefix: str, *, max_lines: int) -> list[str]:
        """The last lines of the newest CloudWatch log stream with this prefix; empty when there is none."""
        from airflow_sm_pipelines.client.job_logs import read_stream_tail

        return read_stream_tail(self.client_of("logs"), group, stream_prefix, max_lines=max_lines)

    def _pages(
        self, operation: str, member: str, target: str, *, each: Sequence[str] = (), **request: Any
    ) -> Iterator[dict[str, Any]]:
        check_pipeline_names(request)
        client = self._open_client("sagemaker")
        return ask_pages(client, operation, target, member=member, each=each, pauses=self.answer_pauses, **request)


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


def _locate_object(uri: str) -> dict[str, Any]:
    """The arguments of S3 calls that name an object.

    :raises PipelineApiError: if it is not the address of an object.
    """
    found = split_s3_uri(uri)
    if found is None or not found[1]:
        raise PipelineApiError(f"'{uri}' is not an S3 object: expected s3://bucket/key.", code="InvalidS3Uri")
    return {"Bucket": found[0], "Key": found[1]}
