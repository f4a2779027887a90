"""The Describe answers of jobs, from their creation to their end.

The property paths of a definition are looked up in these documents, so they hold the request and what the service adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.definition.s3_uri import join_s3_uri
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonPath, JsonValue

ACTIVE_STATUSES = ("InProgress", "Stopping")
EndStatus = Literal["Completed", "Failed", "Stopped"]
ENDED_STATUSES: tuple[EndStatus, ...] = get_args(EndStatus)
DEFAULT_MAX_RUNTIME_SECONDS = 86400
"""How long a job may run if its request has no StoppingCondition."""
_REQUEST_ONLY = ("Tags", "SessionChainingConfig")
"""The members of a Create* request that its Describe answer does not have."""


@dataclass(frozen=True, slots=True)
class JobKind:
    """How the API spells one kind of job.

    :param name: such as ``Processing``; for jobs that run in containers it is also a ``ContainerJobKind``.
    :param resource: the resource part of its ARN.
    :param log_group: where its logs go; a tuning job has none of its own.
    :param is_deletable: whether the API has a Delete operation for it.
    :param omits: the members that its Describe answer does not have, though those of most jobs do.
    :param step_name: its key in the ``Metadata`` of a step, if that is not ``<name>Job``.
    :param end_time: the member for the time it ended, if that is not ``<name>EndTime``.
    """

    name: str
    resource: str
    log_group: str
    is_deletable: bool = True
    omits: frozenset[str] = frozenset()
    step_name: str = ""
    end_time: str = ""

    @property
    def table_kind(self) -> str:
        """Its kind as a stored resource: ``ProcessingJob``."""
        return f"{self.name}Job"

    @property
    def metadata_key(self) -> str:
        """Its key in the metadata of a step: ``ProcessingJob``."""
        return self.step_name or self.table_kind

    @property
    def name_key(self) -> str:
        """``ProcessingJobName``."""
        return f"{self.name}JobName"

    @property
    def status_key(self) -> str:
        """``ProcessingJobStatus``."""
        return f"{self.name}JobStatus"

    @property
    def end_time_key(self) -> str:
        """``ProcessingEndTime``."""
        return self.end_time or f"{self.name}EndTime"

    @property
    def create_operation(self) -> str:
        """``CreateProcessingJob``."""
        return f"Create{self.name}Job"


PROCESSING = JobKind("Processing", "processing-job", "/aws/sagemaker/ProcessingJobs")
TRAINING = JobKind("Training", "training-job", "/aws/sagemaker/TrainingJobs")
TRANSFORM = JobKind(
    "Transform",
    "transform-job",
    "/aws/sagemaker/TransformJobs",
    is_deletable=False,
    omits=frozenset({"LastModifiedTime", "StoppingCondition"}),
)
TUNING = JobKind(
    "HyperParameterTuning",
    "hyper-parameter-tuning-job",
    "",
    omits=frozenset({"StartTime", "StoppingCondition"}),
    step_name="TuningJob",
)
AUTOML = JobKind(
    "AutoML",
    "automl-job",
    "",
    is_deletable=False,
    omits=frozenset({"StartTime", "StoppingCondition"}),
    end_time="EndTime",
)
"""Only a stand-in of the user performs these."""
JOB_KINDS: Mapping[str, JobKind] = {kind.table_kind: kind for kind in (PROCESSING, TRAINING, TRANSFORM, TUNING, AUTOML)}
_ARGUMENT_LISTS = {
    (member, name)
    for member in ("AppSpecification", "AlgorithmSpecification")
    for name in ("ContainerEntrypoint", "ContainerArguments")
}
_NO_TRAINING_JOBS = {
    "TrainingJobStatusCounters": dict.fromkeys(
        ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped"), 0
    ),
    "ObjectiveStatusCounters": dict.fromkeys(("Succeeded", "Pending", "Failed"), 0),
}


_SECONDARY_MESSAGES = {
    "Starting": "Starting the training job",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Stopping": "Stopping the training job",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
}
"""The service's words, as SDK v2 and public notebooks show them; those of a stopped job are ours."""
_LAST_SECONDARY = frozenset({"Completed", "Failed", "Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"})


def with_text_values(request: Mapping[str, Any], written: JsonValue) -> dict[str, Any]:
    """The request with numbers and booleans as text where an expression gave them and the API takes only text.

    These are environments, hyperparameters, ranges and arguments. Definitions put numeric pipeline parameters there,
    and the service takes them. A number that the definition itself has there stays one, and the service refuses it.

    :param written: the arguments as the definition has them, before expressions were resolved.
    """
    changed = _with_text(request, written, (), is_given=False)
    return changed if isinstance(changed, dict) else dict(request)


def _with_text(value: Any, written: Any, place: JsonPath, *, is_given: bool) -> Any:
    """A value at a place of a request with text in place of what expressions gave.

    :param written: what the definition has at this place; not known inside a value that an expression gave.
    :param is_given: whether an expression gave the value, or one around it.
    """
    is_given = is_given or is_expression(written)
    if isinstance(value, dict):
        members = written if isinstance(written, dict) and not is_given else {}
        return {
            key: _with_text(item, members.get(key), (*place, key), is_given=is_given) for key, item in value.items()
        }
    if isinstance(value, list):
        entries = written if isinstance(written, list) and not is_given else [None] * len(value)
        return [
            _with_text(item, entry, (*place, index), is_given=is_given)
            for index, (item, entry) in enumerate(zip(value, entries))  # noqa: B905 - resolving keeps the length
        ]
    return _as_text(value) if is_given and _is_text_place(place) else value


def _is_text_place(place: JsonPath) -> bool:
    if place[0] == "TrainingJobDefinition":
        place = place[1:]
    elif place[0] == "TrainingJobDefinitions":
        place = place[2:]
    if len(place) == 2:
        return place[0] in ("Environment", "HyperParameters", "StaticHyperParameters")
    if place[:2] in _ARGUMENT_LISTS:
        return len(place) == 3
    return place[:1] == ("HyperParameterRanges",) or place[:2] == ("HyperParameterTuningJobConfig", "ParameterRanges")


def with_name(kind: JobKind, request: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The request of a job, with this name if it gives none; null gives none."""
    given = request.get(kind.name_key)
    return {**request, kind.name_key: name if given is None else given}


def with_role(kind: JobKind, request: dict[str, Any], role: str | None) -> dict[str, Any]:
    """The request of a job, with the role of the execution if it names none; null names none.

    A transform job has no role. A tuning job has none of its own, but the definitions of its training jobs have one.
    Source: developer guide, "IAM access management": by default each step takes on the pipeline execution role.
    """
    if role is None or kind is TRANSFORM:
        return request
    if kind is not TUNING:
        return dict(_with_role(request, role))
    changed = dict(request)
    if "TrainingJobDefinition" in request:
        changed["TrainingJobDefinition"] = _with_role(request["TrainingJobDefinition"], role)
    if isinstance(request.get("TrainingJobDefinitions"), list):
        changed["TrainingJobDefinitions"] = [_with_role(one, role) for one in request["TrainingJobDefinitions"]]
    return changed


def _with_role(request: Any, role: str) -> Any:
    is_without = isinstance(request, dict) and request.get("RoleArn") is None
    return {**request, "RoleArn": role} if is_without else request


def without_nulls(value: Any) -> Any:
    """The value without object members that are null: by these the SDKs mean absent members."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def new_job_document(
    kind: JobKind, *, name: str, arn: str, request: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The Describe answer of a new job."""
    document: dict[str, Any] = {key: value for key, value in request.items() if key not in _REQUEST_ONLY}
    document.update(
        {
            kind.name_key: name,
            f"{kind.name}JobArn": arn,
            kind.status_key: "InProgress",
            "CreationTime": now,
            **_modified(kind, now),
        }
    )
    if "StoppingCondition" not in kind.omits:
        document.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS})
    if kind is TUNING:
        document.update(_NO_TRAINING_JOBS)
    if kind is TRAINING:
        document["ModelArtifacts"] = {"S3ModelArtifacts": _model_artifacts_uri(name, request)}
        document = _with_secondary_status(document, "Starting", now=now)
    if kind is AUTOML:
        document["AutoMLJobSecondaryStatus"] = "Starting"
    return document


def started_job_document(kind: JobKind, document: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The Describe answer of a job whose process starts now."""
    changed = {**document, **_modified(kind, now), kind.status_key: "InProgress"}
    if "StartTime" not in kind.omits:
        changed[f"{kind.name}StartTime"] = now
    for key in (kind.end_time_key, "FailureReason", "ExitMessage"):
        changed.pop(key, None)
    if kind is TRAINING:
        changed = _with_secondary_status(changed, "Training", now=now)
    return changed


def stopping_job_document(kind: JobKind, document: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The Describe answer of a job that was asked to stop."""
    changed = {**document, kind.status_key: "Stopping", **_modified(kind, now)}
    if kind is TRAINING:
        changed = _with_secondary_status(changed, "Stopping", now=now)
    if kind is AUTOML:
        changed["AutoMLJobSecondaryStatus"] = "Stopping"
    return changed


def ended_job_document(
    kind: JobKind,
    document: Mapping[str, Any],
    *,
    status: EndStatus,
    now: datetime,
    failure_reason: str | None = None,
    exit_message: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The Describe answer of a job that has ended.

    :param details: members that only the run of the job knows; times are epoch seconds.
    """
    changed = {**document, **_with_times(dict(details or {})), kind.status_key: status, **_modified(kind, now)}
    changed[kind.end_time_key] = now
    if failure_reason:
        changed["FailureReason"] = failure_reason[:MAX_REASON_CHARACTERS]
    if kind is PROCESSING:
        if exit_message:
            changed["ExitMessage"] = exit_message[:MAX_REASON_CHARACTERS]
        return changed
    if kind is AUTOML:
        changed["AutoMLJobSecondaryStatus"] = status
    if kind is not TRAINING:
        return changed
    last = str((details or {}).get("SecondaryStatus", status))
    for one in ("Uploading", last) if status == "Completed" else (last,):
        changed = _with_secondary_status(changed, one, now=now)
    started = document.get("TrainingStartTime", now)
    seconds = max(1, round((now - started).total_seconds()))
    changed.setdefault("TrainingTimeInSeconds", seconds)
    changed.setdefault("BillableTimeInSeconds", seconds)
    return changed


def _with_secondary_status(document: dict[str, Any], status: str, *, now: datetime) -> dict[str, Any]:
    """A training job's Describe answer with another secondary status, after those that it had.

    Clients read the log of a job by these: the amazon provider's looks for another message.
    """
    before = list(document.get("SecondaryStatusTransitions") or ())
    if before and "EndTime" not in before[-1]:
        before[-1] = {**before[-1], "EndTime": now}
    entry = {"Status": status, "StartTime": now, "StatusMessage": _SECONDARY_MESSAGES.get(status, status)}
    if status in _LAST_SECONDARY:
        entry["EndTime"] = now
    return {**document, "SecondaryStatus": status, "SecondaryStatusTransitions": [*before, entry]}


def _modified(kind: JobKind, now: datetime) -> dict[str, Any]:
    return {} if "LastModifiedTime" in kind.omits else {"LastModifiedTime": now}


def _model_artifacts_uri(name: str, request: Mapping[str, Any]) -> str:
    output = request.get("OutputDataConfig") or {}
    return join_s3_uri(output.get("S3OutputPath", ""), name, "output/model.tar.gz")


def _with_times(value: Any) -> Any:
    """The details of a run with its times, which are epoch seconds, as datetimes."""
    if isinstance(value, list):
        return [_with_times(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: datetime.fromtimestamp(item, timezone.utc)
        if key.endswith(("Time", "Timestamp")) and isinstance(item, (int, float))
        else _with_times(item)
        for key, item in value.items()
    }


def _as_text(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, (int, float)) else value
