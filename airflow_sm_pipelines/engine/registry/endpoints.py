"""Endpoints and their configurations: records with no server behind them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.registry.models import MODEL, require_model
from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.store import ResourceRecord, Store
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory

ENDPOINT = "Endpoint"
ENDPOINT_CONFIG = "EndpointConfig"
_FROM_CONFIG = ("AsyncInferenceConfig", "ExplainerConfig")


def add_endpoint_config(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make an endpoint configuration.

    :raises ServiceError: its name is taken, or a model it names does not exist.
    """
    name = request["EndpointConfigName"]
    arn = arns.make("endpoint-config", name)
    if store.resources.find(ENDPOINT_CONFIG, name) is not None:
        raise validation_error(f'Cannot create already existing endpoint configuration "{arn}".')
    for variant in (*request["ProductionVariants"], *(request.get("ShadowProductionVariants") or ())):
        model = variant.get("ModelName")
        if model:
            require_model(store, arns, model)
    document = {key: value for key, value in request.items() if key != "Tags"}
    document |= {"EndpointConfigArn": arn, "CreationTime": now}
    return _add(store, ENDPOINT_CONFIG, name, document, arn=arn, status=None, tags=request.get("Tags"), now=now)


def add_endpoint(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make an endpoint. It is ``InService`` at once.

    :raises ServiceError: its name is taken, or its configuration does not exist.
    """
    name = request["EndpointName"]
    arn = arns.make("endpoint", name)
    if store.resources.find(ENDPOINT, name) is not None:
        raise validation_error(f'Cannot create already existing endpoint "{arn}".')
    document = {
        "EndpointName": name,
        "EndpointArn": arn,
        **_members_from_config(store, arns, request["EndpointConfigName"]),
        "EndpointStatus": "InService",
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    return _add(store, ENDPOINT, name, document, arn=arn, status="InService", tags=request.get("Tags"), now=now)


def update_endpoint(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Give an endpoint another configuration.

    :raises ServiceError: the endpoint or the configuration does not exist.
    """
    record = require_endpoint(store, arns, request["EndpointName"])
    configured = _members_from_config(store, arns, request["EndpointConfigName"])
    kept = {key: value for key, value in record.document.items() if key not in _FROM_CONFIG}
    changed = replace(record, document={**kept, **configured, "LastModifiedTime": now}, modified_ms=to_ms(now))
    store.resources.save(changed)
    return changed


def require_endpoint(store: Store, arns: ArnFactory, name: str) -> ResourceRecord:
    """The endpoint of this name.

    :raises ServiceError: there is none.
    """
    record = store.resources.find(ENDPOINT, name)
    if record is None:
        raise validation_error(f'Could not find endpoint "{arns.make("endpoint", name)}".')
    return record


def require_endpoint_config(store: Store, arns: ArnFactory, name: str) -> ResourceRecord:
    """The endpoint configuration of this name.

    :raises ServiceError: there is none.
    """
    record = store.resources.find(ENDPOINT_CONFIG, name)
    if record is None:
        raise validation_error(f'Could not find endpoint configuration "{arns.make("endpoint-config", name)}".')
    return record


def _members_from_config(store: Store, arns: ArnFactory, config_name: str) -> dict[str, Any]:
    """The members of an endpoint's Describe answer that come from its configuration."""
    config = require_endpoint_config(store, arns, config_name).document
    members: dict[str, Any] = {key: config[key] for key in _FROM_CONFIG if key in config}
    variants = [_summarize_variant(store, variant) for variant in config["ProductionVariants"]]
    return {"EndpointConfigName": config_name, "ProductionVariants": variants, **members}


def _summarize_variant(store: Store, variant: Mapping[str, Any]) -> dict[str, Any]:
    """The ``ProductionVariantSummary`` of a variant."""
    model = store.resources.find(MODEL, variant.get("ModelName") or "")
    declared = model.document if model else {}
    containers = declared.get("Containers") or [declared.get("PrimaryContainer") or {}]
    weight, count = float(variant.get("InitialVariantWeight", 1.0)), variant.get("InitialInstanceCount")
    summary: dict[str, Any] = {
        "VariantName": variant["VariantName"],
        "DeployedImages": [{"SpecifiedImage": one["Image"]} for one in containers if one.get("Image")],
        "CurrentWeight": weight,
        "DesiredWeight": weight,
    }
    if count is not None:
        summary |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    if variant.get("ServerlessConfig"):
        summary["CurrentServerlessConfig"] = variant["ServerlessConfig"]
    return summary


def _add(
    store: Store,
    kind: str,
    name: str,
    document: dict[str, Any],
    *,
    arn: str,
    status: str | None,
    tags: Any,
    now: datetime,
) -> ResourceRecord:
    record = ResourceRecord(
        kind=kind,
        name=name,
        arn=arn,
        status=status,
        family=None,
        version=None,
        document=document,
        created_ms=to_ms(now),
        modified_ms=to_ms(now),
    )
    store.resources.add(record)
    store.tags.add(arn, tags or [])
    return record
