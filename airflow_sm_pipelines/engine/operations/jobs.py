"""The operations on processing, training, transform, tuning and AutoML jobs, whether a step or a client made them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.operations.context import (
    Operation,
    OperationContext,
    Request,
    Response,
    without_none,
)
from airflow_sm_pipelines.engine.operations.resource_lists import delete_resource, list_resources
from airflow_sm_pipelines.engine.rules.errors import not_found, validation_error
from airflow_sm_pipelines.engine.rules.job_documents import (
    ACTIVE_STATUSES,
    AUTOML,
    PROCESSING,
    TRAINING,
    TRANSFORM,
    TUNING,
    JobKind,
)
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.store import ResourceRecord

_SUMMARY_MEMBERS = {
    PROCESSING: ("ProcessingEndTime", "LastModifiedTime", "ProcessingJobStatus", "FailureReason", "ExitMessage"),
    TRAINING: ("TrainingEndTime", "LastModifiedTime", "TrainingJobStatus", "SecondaryStatus"),
    TRANSFORM: ("TransformEndTime", "LastModifiedTime", "TransformJobStatus", "FailureReason"),
    AUTOML: ("EndTime", "AutoMLJobStatus", "AutoMLJobSecondaryStatus", "FailureReason"),
    TUNING: (
        "HyperParameterTuningEndTime",
        "HyperParameterTuningJobStatus",
        "TrainingJobStatusCounters",
        "ObjectiveStatusCounters",
    ),
}


def job_operations(kind: JobKind) -> dict[str, Operation]:
    """The operations on one kind of job, by name."""
    job = kind.table_kind
    operations: dict[str, Operation] = {
        f"Create{job}": partial(_create_job, kind),
        f"Describe{job}": partial(_describe_job, kind),
        f"Stop{job}": partial(_stop_job, kind),
        f"List{job}s": partial(_list_jobs, kind),
    }
    return {**operations, f"Delete{job}": partial(_delete_job, kind)} if kind.is_deletable else operations


def require_job(context: OperationContext, kind: JobKind, name: str) -> ResourceRecord:
    """The job of this kind and name.

    :raises ServiceError: ResourceNotFound.
    """
    record = context.store.resources.find(kind.table_kind, name)
    if record is None:
        raise not_found(f"Could not find requested job with name: {name}")
    return record


def _create_job(kind: JobKind, context: OperationContext, request: Request) -> Response:
    name = request[kind.name_key]
    with context.store.transaction():
        if context.store.resources.find(kind.table_kind, name) is not None:
            raise validation_error(
                f"Job name must be unique within an AWS account and region, and a {kind.name.lower()} job with this"
                f" name already exists ({context.arns.make(kind.resource, name)})"
            )
        rest = {key: value for key, value in request.items() if key != kind.name_key}
        record = context.runner.jobs.create(kind, name, rest)
    context.runner.submit_job(kind, name)
    return {f"{kind.table_kind}Arn": record.arn}


def _describe_job(kind: JobKind, context: OperationContext, request: Request) -> Response:
    """Describe…Job.

    For a job that is not there the service answers another error than its API model has, and clients know it by that:
    the amazon provider's job operators do (boto/boto3 issue 2808).
    """
    if kind is AUTOML:
        return require_job(context, kind, request[kind.name_key]).public_document
    record = context.store.resources.find(kind.table_kind, request[kind.name_key])
    if record is None:
        raise validation_error("Requested resource not found.")
    return record.public_document


def _stop_job(kind: JobKind, context: OperationContext, request: Request) -> Response:
    record = require_job(context, kind, request[kind.name_key])
    # The service answers a second stop of the same job with success.
    if not context.runner.jobs.stop(kind, record.name):
        raise validation_error(
            f"The job {record.arn} is in status {record.status}: only jobs that are in progress can be stopped."
        )
    return {}


def _delete_job(kind: JobKind, context: OperationContext, request: Request) -> Response:
    with context.store.transaction():
        record = require_job(context, kind, request[kind.name_key])
        if record.status in ACTIVE_STATUSES:
            raise validation_error(f"The job {record.arn} is in status {record.status}: stop it before deleting it.")
        delete_resource(context, record)
    return {}


def _list_jobs(kind: JobKind, context: OperationContext, request: Request) -> Response:
    job = kind.table_kind
    records, more = list_resources(context, job, f"List{job}s", request, tie_column="name")
    return {f"{job}Summaries": [_summarize(kind, record) for record in records], **more}


def _summarize(kind: JobKind, record: ResourceRecord) -> Response:
    config = record.document.get("HyperParameterTuningJobConfig") or {}
    members = {name: record.document.get(name) for name in ("CreationTime", *_SUMMARY_MEMBERS[kind])}
    members["LastModifiedTime"] = from_ms(record.modified_ms)
    if kind is TUNING:
        members["Strategy"], members["ResourceLimits"] = config.get("Strategy"), config.get("ResourceLimits")
    return without_none(**{kind.name_key: record.name, f"{kind.table_kind}Arn": record.arn}, **members)
