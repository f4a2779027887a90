"""Models, model packages and their groups: how they are made, whether by a step or by a client's call.

Callers hold a store transaction; everything here only reads and writes the store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory, resource_name_of
from airflow_sm_pipelines.engine.store import ResourceRecord, Store
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MODEL = "Model"
PACKAGE = "ModelPackage"
GROUP = "ModelPackageGroup"

_REQUEST_ONLY = ("Tags", "ClientToken")


def add_model(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a model.

    :raises ServiceError: if its name is taken.
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
    return _add(store, _record(MODEL, name, arn, document, now=now), request)


def ensure_group(store: Store, arns: ArnFactory, name_or_arn: str, *, now: datetime) -> ResourceRecord:
    """The model package group of this name, made if it is not there (as RegisterModel steps do)."""
    name = resource_name_of(name_or_arn, "model-package-group")
    return store.resources.find(GROUP, name) or add_group(store, arns, {"ModelPackageGroupName": name}, now=now)


def add_group(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a model package group.

    :raises ServiceError: if its name is taken.
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
    return _add(store, _record(GROUP, name, arn, document, now=now), request)


def add_model_package(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a model package: the next version of its group, or one without versions under its own name.

    :raises ServiceError: if its group does not exist, or its name is missing or taken.
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
    if group:
        family = store.resources.find(GROUP, group)
        if family is None:
            raise validation_error(f"Model Package Group {group} does not exist.")
        # Counted in the group, so that the number of a deleted package is not given again.
        version = int(family.document.get("$latest", 0)) + 1
        store.resources.save(replace(family, document={**family.document, "$latest": version}))
        name = f"{group}/{version}"
        document.update(
            {
                # The model requires a name here; the service answers with the group's.
                "ModelPackageName": group,
                "ModelPackageGroupName": group,
                "ModelPackageVersion": version,
                "ModelApprovalStatus": request.get("ModelApprovalStatus") or "PendingManualApproval",
            }
        )
        record = _record(
            PACKAGE, name, arns.make("model-package", name), document, now=now, family=group, version=version
        )
    else:
        if not request.get("ModelPackageName"):
            raise validation_error("Either ModelPackageName or ModelPackageGroupName must be given.")
        name = request["ModelPackageName"]
        if store.resources.find(PACKAGE, name) is not None:
            raise validation_error(f"Model Package already exists: {arns.make('model-package', name)}")
        record = _record(PACKAGE, name, arns.make("model-package", name), document, now=now)
    record.document["ModelPackageArn"] = record.arn
    return _add(store, record, request)


def _described(request: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in request.items() if key not in _REQUEST_ONLY}


def _record(
    kind: str,
    name: str,
    arn: str,
    document: dict[str, Any],
    *,
    now: datetime,
    family: str | None = None,
    version: int | None = None,
) -> ResourceRecord:
    return ResourceRecord(
        kind=kind,
        name=name,
        arn=arn,
        status=document.get("ModelApprovalStatus"),
        family=family,
        version=version,
        document=document,
        created_ms=to_ms(now),
        modified_ms=to_ms(now),
    )


def _add(store: Store, record: ResourceRecord, request: Mapping[str, Any]) -> ResourceRecord:
    store.resources.add(record)
    store.ledger.add_tags(record.arn, request.get("Tags") or [])
    return record
