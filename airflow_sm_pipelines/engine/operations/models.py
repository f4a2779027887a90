"""The operations on models, model packages and model package groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.job_host import public_document
from airflow_sm_pipelines.engine.operations.context import (
    OperationContext,
    Request,
    Response,
    present,
    read_paging,
    time_filters,
)
from airflow_sm_pipelines.engine.registry.models import GROUP, MODEL, PACKAGE, add_group, add_model, add_model_package
from airflow_sm_pipelines.engine.rules.errors import conflict, validation_error
from airflow_sm_pipelines.engine.rules.resource_names import resource_name_of
from airflow_sm_pipelines.engine.store.database import Page
from airflow_sm_pipelines.engine.store.resources import contains_filter

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.store import ResourceRecord

_UPDATABLE = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_PACKAGE_SUMMARY = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "CreationTime",
    "ModelPackageStatus",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
)
_GROUP_SUMMARY = (
    "ModelPackageGroupName",
    "ModelPackageGroupArn",
    "ModelPackageGroupDescription",
    "CreationTime",
    "ModelPackageGroupStatus",
)


def create_model(context: OperationContext, request: Request) -> Response:
    """CreateModel."""
    with context.store.transaction():
        record = add_model(context.store, context.arns, request, now=context.services.clock())
    return {"ModelArn": record.arn}


def describe_model(context: OperationContext, request: Request) -> Response:
    """DescribeModel."""
    return public_document(_require_model(context, request["ModelName"]))


def delete_model(context: OperationContext, request: Request) -> Response:
    """DeleteModel."""
    _delete(context, _require_model(context, request["ModelName"]))
    return {}


def list_models(context: OperationContext, request: Request) -> Response:
    """ListModels, newest first by default."""
    records, more = _list(context, MODEL, "ListModels", request, [])
    return {"Models": [_members(record, ("ModelName", "ModelArn", "CreationTime")) for record in records], **more}


def create_model_package(context: OperationContext, request: Request) -> Response:
    """CreateModelPackage: the next version of a group, or a package without versions."""
    with context.store.transaction():
        record = add_model_package(context.store, context.arns, request, now=context.services.clock())
    return {"ModelPackageArn": record.arn}


def describe_model_package(context: OperationContext, request: Request) -> Response:
    """DescribeModelPackage, by ARN or name."""
    return public_document(_require_package(context, request["ModelPackageName"]))


def update_model_package(context: OperationContext, request: Request) -> Response:
    """UpdateModelPackage: approval, description, metadata, specifications."""
    with context.store.transaction():
        record = _require_package(context, request["ModelPackageArn"])
        now = context.services.clock()
        document = {**record.document, "LastModifiedTime": now, "LastModifiedBy": {}}
        document.update({key: request[key] for key in _UPDATABLE if request.get(key) is not None})
        metadata = {
            **document.get("CustomerMetadataProperties", {}),
            **(request.get("CustomerMetadataProperties") or {}),
        }
        for key in request.get("CustomerMetadataPropertiesToRemove") or []:
            metadata.pop(key, None)
        if metadata or "CustomerMetadataProperties" in document:
            document["CustomerMetadataProperties"] = metadata
        if request.get("AdditionalInferenceSpecificationsToAdd"):
            document["AdditionalInferenceSpecifications"] = [
                *document.get("AdditionalInferenceSpecifications", []),
                *request["AdditionalInferenceSpecificationsToAdd"],
            ]
        context.store.resources.save(
            replace(record, document=document, status=document.get("ModelApprovalStatus"), modified_ms=context.now_ms())
        )
    return {"ModelPackageArn": record.arn}


def delete_model_package(context: OperationContext, request: Request) -> Response:
    """DeleteModelPackage."""
    _delete(context, _require_package(context, request["ModelPackageName"]))
    return {}


def list_model_packages(context: OperationContext, request: Request) -> Response:
    """ListModelPackages: of one group, or (as the service does without a type) those without versions."""
    filters: list[tuple[str, Any]] = []
    if request.get("ModelPackageGroupName"):
        group = _require_group(context, request["ModelPackageGroupName"])
        filters.append(("family = ?", group.name))
    elif (request.get("ModelPackageType") or "Unversioned") == "Unversioned":
        filters.append(("COALESCE(family, ?) = ''", ""))
    elif request["ModelPackageType"] == "Versioned":
        filters.append(("family > ?", ""))
    if request.get("ModelApprovalStatus"):
        filters.append(("status = ?", request["ModelApprovalStatus"]))
    records, more = _list(context, PACKAGE, "ListModelPackages", request, filters)
    return {"ModelPackageSummaryList": [_members(record, _PACKAGE_SUMMARY) for record in records], **more}


def create_model_package_group(context: OperationContext, request: Request) -> Response:
    """CreateModelPackageGroup."""
    with context.store.transaction():
        record = add_group(context.store, context.arns, request, now=context.services.clock())
    return {"ModelPackageGroupArn": record.arn}


def describe_model_package_group(context: OperationContext, request: Request) -> Response:
    """DescribeModelPackageGroup, by ARN or name."""
    return public_document(_require_group(context, request["ModelPackageGroupName"]))


def delete_model_package_group(context: OperationContext, request: Request) -> Response:
    """DeleteModelPackageGroup: only an empty one."""
    with context.store.transaction():
        group = _require_group(context, request["ModelPackageGroupName"])
        page = Page(sort_column="created_ms", tie_column="name", is_descending=False, limit=1)
        packages, _ = context.store.resources.page(PACKAGE, [("family = ?", group.name)], page)
        if packages:
            raise conflict(
                f"Model Package Group {group.arn} cannot be deleted because it still contains Model Packages."
            )
        _delete(context, group)
    return {}


def list_model_package_groups(context: OperationContext, request: Request) -> Response:
    """ListModelPackageGroups, newest first by default."""
    records, more = _list(context, GROUP, "ListModelPackageGroups", request, [])
    return {"ModelPackageGroupSummaryList": [_members(record, _GROUP_SUMMARY) for record in records], **more}


def _list(
    context: OperationContext, kind: str, operation: str, request: Request, filters: list[tuple[str, Any]]
) -> tuple[list[ResourceRecord], Response]:
    paging = read_paging(
        operation,
        request,
        columns={"Name": "name", "CreationTime": "created_ms"},
        default_sort="CreationTime",
        tie_column="seq",
    )
    bounds = [("CreationTimeAfter", "created_ms > ?"), ("CreationTimeBefore", "created_ms < ?")]
    wanted = [*filters, *time_filters(request, bounds)]
    if request.get("NameContains"):
        wanted.append(contains_filter("name", request["NameContains"]))
    records, after = context.store.resources.page(kind, wanted, paging.page)
    return records, paging.next_token(after)


def _members(record: ResourceRecord, names: tuple[str, ...]) -> Response:
    return present(**{name: record.document.get(name) for name in names})


def _delete(context: OperationContext, record: ResourceRecord) -> None:
    with context.store.transaction():
        context.store.resources.delete(record.kind, record.name)
        context.store.ledger.delete_tags(record.arn)


def _require_model(context: OperationContext, name: str) -> ResourceRecord:
    record = context.store.resources.find(MODEL, name)
    if record is None:
        raise validation_error(f'Could not find model "{context.arns.make("model", name)}".')
    return record


def _require_package(context: OperationContext, name_or_arn: str) -> ResourceRecord:
    record = context.store.resources.find(PACKAGE, resource_name_of(name_or_arn, "model-package"))
    if record is None:
        raise validation_error(f"ModelPackage {name_or_arn} does not exist.")
    return record


def _require_group(context: OperationContext, name_or_arn: str) -> ResourceRecord:
    record = context.store.resources.find(GROUP, resource_name_of(name_or_arn, "model-package-group"))
    if record is None:
        raise validation_error(f"ModelPackageGroup {name_or_arn} does not exist.")
    return record
