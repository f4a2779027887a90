"""The Describe answers of processing, training and transform jobs: as they are created, and as they ended. Pure.

Property paths of a definition resolve in these documents, so they hold the request and what the service adds to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# What a Create* request may hold that its Describe answer does not.
_REQUEST_ONLY = ("Tags",)
_ONE_DAY_SECONDS = 86400


@dataclass(frozen=True, slots=True)
class JobKind:
    """How one kind of job is spelled throughout the API.

    :param name: ``Processing``, ``Training`` or ``Transform``; also the job's kind for the jobs layer.
    :param resource: the resource part of its ARN.
    :param log_group: where its logs go.
    :param is_deletable: whether the API has a Delete operation for it.
    :param has_full_document: whether its Describe answer has ``LastModifiedTime`` and ``StoppingCondition``.
    """

    name: str
    resource: str
    log_group: str
    is_deletable: bool = True
    has_full_document: bool = True

    @property
    def table_kind(self) -> str:
        """Its kind among the stored resources: ``ProcessingJob``."""
        return f"{self.name}Job"

    @property
    def name_key(self) -> str:
        """``ProcessingJobName``."""
        return f"{self.name}JobName"

    @property
    def status_key(self) -> str:
        """``ProcessingJobStatus``."""
        return f"{self.name}JobStatus"

    @property
    def create_operation(self) -> str:
        """``CreateProcessingJob``."""
        return f"Create{self.name}Job"


PROCESSING = JobKind("Processing", "processing-job", "/aws/sagemaker/ProcessingJobs")
TRAINING = JobKind("Training", "training-job", "/aws/sagemaker/TrainingJobs")
TRANSFORM = JobKind(
    "Transform", "transform-job", "/aws/sagemaker/TransformJobs", is_deletable=False, has_full_document=False
)
JOB_KINDS: Mapping[str, JobKind] = {kind.table_kind: kind for kind in (PROCESSING, TRAINING, TRANSFORM)}


def with_text_values(request: Mapping[str, Any]) -> dict[str, Any]:
    """The request with scalars written as text where the API takes only text: environment, hyperparameters, arguments.

    Definitions put numeric pipeline parameters there; the service takes them.
    """
    changed = dict(request)
    for key in ("Environment", "HyperParameters"):
        if isinstance(changed.get(key), dict):
            changed[key] = {name: _as_text(value) for name, value in changed[key].items()}
    for key in ("AppSpecification", "AlgorithmSpecification"):
        if isinstance(changed.get(key), dict):
            changed[key] = {
                name: [_as_text(item) for item in value]
                if name in ("ContainerEntrypoint", "ContainerArguments") and isinstance(value, list)
                else value
                for name, value in changed[key].items()
            }
    return changed


def without_nulls(value: Any) -> Any:
    """The value without object members that are null: the SDKs write them where they mean an absent member."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def new_job_document(
    kind: JobKind, *, name: str, arn: str, request: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """The Describe answer of a job that has just been created."""
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
    if kind.has_full_document:
        document.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": _ONE_DAY_SECONDS})
    if kind is TRAINING:
        document["ModelArtifacts"] = {"S3ModelArtifacts": _model_artifacts_uri(name, request)}
        document["SecondaryStatus"] = "Starting"
    return document


def started_job_document(kind: JobKind, document: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The Describe answer of a job whose process starts now."""
    changed = {**document, f"{kind.name}StartTime": now, **_modified(kind, now), kind.status_key: "InProgress"}
    for key in (f"{kind.name}EndTime", "FailureReason", "ExitMessage"):
        changed.pop(key, None)
    if kind is TRAINING:
        changed["SecondaryStatus"] = "Training"
    return changed


def stopping_job_document(kind: JobKind, document: Mapping[str, Any], *, now: datetime) -> dict[str, Any]:
    """The Describe answer of a job that was asked to stop."""
    changed = {**document, kind.status_key: "Stopping", **_modified(kind, now)}
    if kind is TRAINING:
        changed["SecondaryStatus"] = "Stopping"
    return changed


def ended_job_document(
    kind: JobKind,
    document: Mapping[str, Any],
    *,
    status: str,
    now: datetime,
    failure_reason: str | None = None,
    exit_message: str | None = None,
    details: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The Describe answer of a job that has ended; ``details`` are what only its run could tell."""
    changed = {**document, **_with_times(dict(details or {})), kind.status_key: status, **_modified(kind, now)}
    changed[f"{kind.name}EndTime"] = now
    if failure_reason:
        changed["FailureReason"] = failure_reason[:1024]
    if kind is PROCESSING:
        if exit_message:
            changed["ExitMessage"] = exit_message[:1024]
        return changed
    if kind is not TRAINING:
        return changed
    if not details or "SecondaryStatus" not in details:
        changed["SecondaryStatus"] = status
    started = document.get("TrainingStartTime", now)
    seconds = max(1, round((now - started).total_seconds()))
    changed.setdefault("TrainingTimeInSeconds", seconds)
    changed.setdefault("BillableTimeInSeconds", seconds)
    return changed


def _modified(kind: JobKind, now: datetime) -> dict[str, Any]:
    return {"LastModifiedTime": now} if kind.has_full_document else {}


def _model_artifacts_uri(name: str, request: Mapping[str, Any]) -> str:
    output = request.get("OutputDataConfig") or {}
    return f"{str(output.get('S3OutputPath', '')).rstrip('/')}/{name}/output/model.tar.gz"


def _with_times(value: Any) -> Any:
    """The details of a run with its times, which the jobs layer gives as epoch seconds, as datetimes."""
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
