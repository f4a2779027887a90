"""The operations on processing, training, transform and tuning jobs, whether a step or a client made them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.job_host import ACTIVE_STATUSES, public_document
from airflow_sm_pipelines.engine.operations.context import (
    Operation,
    OperationContext,
    Request,
    Response,
    present,
    read_paging,
    time_filters,
)
from airflow_sm_pipelines.engine.rules.errors import not_found, validation_error
from airflow_sm_pipelines.engine.rules.job_documents import AUTOML, PROCESSING, TRAINING, TRANSFORM, TUNING, JobKind
from airflow_sm_pipelines.engine.store.documents import from_ms
from airflow_sm_pipelines.engine.store.resources import contains_filter

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.store import ResourceRecord

_COLUMNS = {"Name": "name", "CreationTime": "created_ms", "Status": "status"}
_TIME_FILTERS = [
    ("CreationTimeAfter", "created_ms > ?"),
    ("CreationTimeBefore", "created_ms < ?"),
    ("LastModifiedTimeAfter", "modified_ms > ?"),
    ("LastModifiedTimeBefore", "modified_ms < ?"),
]
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

    def create(context: OperationContext, request: Request) -> Response:
        name = request[kind.name_key]
        with context.store.transaction():
            if context.store.resources.find(job, name) is not None:
                raise validation_error(
                    f"Job name must be unique within an AWS account and region, and a {kind.name.lower()} job with this"
                    f" name already exists ({context.arns.make(kind.resource, name)})"
                )
            rest = {key: value for key, value in request.items() if key != kind.name_key}
            record = context.runner.jobs.create(kind, name, rest)
        context.runner.submit_job(kind, name)
        return {f"{job}Arn": record.arn}

    def describe(context: OperationContext, request: Request) -> Response:
        return public_document(_require(context, kind, request[kind.name_key]))

    def stop(context: OperationContext, request: Request) -> Response:
        record = _require(context, kind, request[kind.name_key])
        # The service answers a second stop of the same job with success.
        if not context.runner.jobs.stop(kind, record.name):
            raise validation_error(
                f"The job {record.arn} is in status {record.status}: only jobs that are in progress can be stopped."
            )
        return {}

    def delete(context: OperationContext, request: Request) -> Response:
        with context.store.transaction():
            record = _require(context, kind, request[kind.name_key])
            if record.status in ACTIVE_STATUSES:
                raise validation_error(
                    f"The job {record.arn} is in status {record.status}: stop it before deleting it."
                )
            context.store.resources.delete(record.kind, record.name)
            context.store.ledger.delete_tags(record.arn)
        return {}

    def list_jobs(context: OperationContext, request: Request) -> Response:
        paging = read_paging(f"List{job}s", request, columns=_COLUMNS, default_sort="CreationTime", tie_column="name")
        filters: list[tuple[str, Any]] = time_filters(request, _TIME_FILTERS)
        if request.get("NameContains"):
            filters.append(contains_filter("name", request["NameContains"]))
        if request.get("StatusEquals"):
            filters.append(("status = ?", request["StatusEquals"]))
        records, after = context.store.resources.page(job, filters, paging.page)
        return {f"{job}Summaries": [_summary(kind, record) for record in records], **paging.next_token(after)}

    operations: dict[str, Operation] = {
        f"Create{job}": create,
        f"Describe{job}": describe,
        f"Stop{job}": stop,
        f"List{job}s": list_jobs,
    }
    return {**operations, f"Delete{job}": delete} if kind.is_deletable else operations


def _summary(kind: JobKind, record: ResourceRecord) -> Response:
    config = record.document.get("HyperParameterTuningJobConfig") or {}
    members = {name: record.document.get(name) for name in ("CreationTime", *_SUMMARY_MEMBERS[kind])}
    members["LastModifiedTime"] = from_ms(record.modified_ms)
    if kind is TUNING:
        members["Strategy"], members["ResourceLimits"] = config.get("Strategy"), config.get("ResourceLimits")
    return present(**{kind.name_key: record.name, f"{kind.table_kind}Arn": record.arn}, **members)


def _require(context: OperationContext, kind: JobKind, name: str) -> ResourceRecord:
    record = context.store.resources.find(kind.table_kind, name)
    if record is None:
        raise not_found(f"Could not find requested job with name: {name}")
    return record
