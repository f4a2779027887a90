"""Models, model packages and their groups: how they are made, and which containers a model has."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import resource_name_of
from airflow_sm_pipelines.engine.rules.errors import validation_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

MODEL = "Model"
PACKAGE = "ModelPackage"
GROUP = "ModelPackageGroup"

_REQUEST_ONLY = ("Tags", "ClientToken")


def add_model(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a model.

    :raises ServiceError: its name is taken.
    """
    name = request["ModelName"]
    arn = arns.make("model", name)
    if store.resources.find(MODEL, name) is not None:
        raise validation_error(f'Cannot create already existing model "{arn}".')
    document = {
        "EnableNetworkIsolation": False,
        **_described(request),
        "ModelArn": arn,
        "CreationTime": now,
    }
    return store.add_resource(MODEL, name, arn, document, now=now, tags=request.get("Tags"))


def ensure_group(store: Store, arns: ArnFactory, name_or_arn: str, *, now: datetime) -> ResourceRecord:
    """The model package group of this name, made if it does not exist (as RegisterModel steps do)."""
    name = resource_name_of(name_or_arn, "model-package-group")
    return store.resources.find(GROUP, name) or add_group(store, arns, {"ModelPackageGroupName": name}, now=now)


def add_group(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a model package group.

    :raises ServiceError: its name is taken.
    """
    name = request["ModelPackageGroupName"]
    arn = arns.make("model-package-group", name)
    if store.resources.find(GROUP, name) is not None:
        raise validation_error(f"Model Package Group already exists: {arn}")
    document = {
        **_described(request),
        "ModelPackageGroupArn": arn,
        "ModelPackageGroupStatus": "Completed",
        "CreationTime": now,
        "CreatedBy": {},
    }
    return store.add_resource(GROUP, name, arn, document, now=now, tags=request.get("Tags"))


def add_model_package(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a model package: the next version of its group, or one without versions under its own name.

    :raises ServiceError: its group does not exist, or its name is missing or taken.
    """
    group = resource_name_of(request.get("ModelPackageGroupName") or "", "model-package-group")
    document = {
        **_described(request),
        "ModelPackageStatus": "Completed",
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
        "CreationTime": now,
        "CreatedBy": {},
        "CertifyForMarketplace": bool(request.get("CertifyForMarketplace", False)),
    }
    if group and request.get("ModelPackageName"):
        # The words here and below are the service's: getmoto/moto, pull request 7165.
        raise validation_error(
            "Both ModelPackageName and ModelPackageGroupName are provided in the input. "
            "Cannot determine which one to use."
        )
    if group:
        family = store.resources.find(GROUP, group)
        if family is None:
            raise validation_error(f"Model Package Group {group} does not exist.")
        # The group counts its versions, so that the number of a deleted package is not given again.
        version = int(family.document.get("$latest", 0)) + 1
        store.resources.save(replace(family, document={**family.document, "$latest": version}))
        name = f"{group}/{version}"
        document.update(
            {
                # The API model requires a name here; the service answers with the name of the group.
                "ModelPackageName": group,
                "ModelPackageGroupName": group,
                "ModelPackageVersion": version,
                "ModelApprovalStatus": request.get("ModelApprovalStatus") or "PendingManualApproval",
            }
        )
    else:
        version = None
        if not request.get("ModelPackageName"):
            raise validation_error("Missing ARN.")
        name = request["ModelPackageName"]
        if store.resources.find(PACKAGE, name) is not None:
            raise validation_error(f"Model Package already exists: {arns.make('model-package', name)}")
    arn = document["ModelPackageArn"] = arns.make("model-package", name)
    return store.add_resource(
        PACKAGE,
        name,
        arn,
        document,
        now=now,
        tags=request.get("Tags"),
        status=document.get("ModelApprovalStatus"),
        family=group or None,
        version=version,
    )


def find_containers(store: Store, arns: ArnFactory, model_name: str) -> list[dict[str, Any]]:
    """The container definitions of a model, in the order in which data passes through them.

    A container that names a ``ModelPackageName`` is replaced by the containers of the package, with its environment.

    :raises ServiceError: the model or its package does not exist, or it has no container with an image.
    """
    record = require_model(store, arns, model_name)
    declared = record.document.get("Containers") or [record.document.get("PrimaryContainer") or {}]
    containers = [container for entry in declared for container in _expand_package(store, entry)]
    if not any(container.get("Image") for container in containers):
        raise validation_error(f'Model "{record.arn}" has no container with an image.')
    return containers


def require_model(store: Store, arns: ArnFactory, name: str) -> ResourceRecord:
    """The model of this name.

    :raises ServiceError: there is none.
    """
    record = store.resources.find(MODEL, name)
    if record is None:
        raise validation_error(f'Could not find model "{arns.make("model", name)}".')
    return record


def require_package(store: Store, name_or_arn: str) -> ResourceRecord:
    """The model package of this name or ARN.

    :raises ServiceError: there is none.
    """
    record = store.resources.find(PACKAGE, resource_name_of(name_or_arn, "model-package"))
    if record is None:
        raise validation_error(f"ModelPackage {name_or_arn} does not exist.")
    return record


def _expand_package(store: Store, container: dict[str, Any]) -> list[dict[str, Any]]:
    package_name = container.get("ModelPackageName")
    if not package_name:
        return [container]
    specification = require_package(store, package_name).document.get("InferenceSpecification") or {}
    environment = container.get("Environment") or {}
    return [
        {**entry, "Environment": {**(entry.get("Environment") or {}), **environment}}
        for entry in specification.get("Containers") or []
    ]


def _described(request: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in _REQUEST_ONLY}
