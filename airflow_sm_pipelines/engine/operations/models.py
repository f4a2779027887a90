"""The operations on models, model packages and model package groups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import resource_name_of
from airflow_sm_pipelines.engine.operations.resource_lists import delete_resource, list_resources, summarize
from airflow_sm_pipelines.engine.registry.models import (
    GROUP,
    MODEL,
    PACKAGE,
    add_group,
    add_model,
    add_model_package,
    require_model,
    require_package,
)
from airflow_sm_pipelines.engine.rules.errors import conflict, validation_error
from airflow_sm_pipelines.engine.store.database import Page
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response
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
    return require_model(context.store, context.arns, request["ModelName"]).public_document


def delete_model(context: OperationContext, request: Request) -> Response:
    """DeleteModel."""
    delete_resource(context, require_model(context.store, context.arns, request["ModelName"]))
    return {}


def list_models(context: OperationContext, request: Request) -> Response:
    """ListModels, newest first by default."""
    records, more = list_resources(context, MODEL, "ListModels", request)
    return {"Models": [summarize(record, ("ModelName", "ModelArn", "CreationTime")) for record in records], **more}


def create_model_package(context: OperationContext, request: Request) -> Response:
    """CreateModelPackage: it makes the next version of a group, or a package without versions."""
    with context.store.transaction():
        record = add_model_package(context.store, context.arns, request, now=context.services.clock())
    return {"ModelPackageArn": record.arn}


def describe_model_package(context: OperationContext, request: Request) -> Response:
    """DescribeModelPackage, by ARN or name."""
    return require_package(context.store, request["ModelPackageName"]).public_document


def update_model_package(context: OperationContext, request: Request) -> Response:
    """UpdateModelPackage: it changes approval, description, metadata and specifications."""
    with context.store.transaction():
        record = require_package(context.store, request["ModelPackageArn"])
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
        status = document.get("ModelApprovalStatus")
        context.store.resources.save(replace(record, document=document, status=status, modified_ms=to_ms(now)))
    return {"ModelPackageArn": record.arn}


def delete_model_package(context: OperationContext, request: Request) -> Response:
    """DeleteModelPackage."""
    delete_resource(context, require_package(context.store, request["ModelPackageName"]))
    return {}


def list_model_packages(context: OperationContext, request: Request) -> Response:
    """ListModelPackages: those of one group, or by type; without either, those without versions."""
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
    records, more = list_resources(context, PACKAGE, "ListModelPackages", request, filters=filters)
    return {"ModelPackageSummaryList": [summarize(record, _PACKAGE_SUMMARY) for record in records], **more}


def create_model_package_group(context: OperationContext, request: Request) -> Response:
    """CreateModelPackageGroup."""
    with context.store.transaction():
        record = add_group(context.store, context.arns, request, now=context.services.clock())
    return {"ModelPackageGroupArn": record.arn}


def describe_model_package_group(context: OperationContext, request: Request) -> Response:
    """DescribeModelPackageGroup, by ARN or name."""
    return _require_group(context, request["ModelPackageGroupName"]).public_document


def delete_model_package_group(context: OperationContext, request: Request) -> Response:
    """DeleteModelPackageGroup: the group must be empty."""
    with context.store.transaction():
        group = _require_group(context, request["ModelPackageGroupName"])
        page = Page(sort_column="created_ms", tie_column="name", is_descending=False, limit=1)
        packages, _ = context.store.resources.page(PACKAGE, [("family = ?", group.name)], page)
        if packages:
            raise conflict(
                f"Model Package Group {group.arn} cannot be deleted because it still contains Model Packages."
            )
        delete_resource(context, group)
    return {}


def list_model_package_groups(context: OperationContext, request: Request) -> Response:
    """ListModelPackageGroups, newest first by default."""
    records, more = list_resources(context, GROUP, "ListModelPackageGroups", request)
    return {"ModelPackageGroupSummaryList": [summarize(record, _GROUP_SUMMARY) for record in records], **more}


def _require_group(context: OperationContext, name_or_arn: str) -> ResourceRecord:
    record = context.store.resources.find(GROUP, resource_name_of(name_or_arn, "model-package-group"))
    if record is None:
        raise validation_error(f"ModelPackageGroup {name_or_arn} does not exist.")
    return record
