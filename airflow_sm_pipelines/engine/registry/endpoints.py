"""Endpoints and their configurations, as records. What serves an endpoint is in ``jobs/endpoint_host.py``.

An endpoint that is being made or changed has a *plan* in its record: the members that it will have, and what its
variants are to serve. The plan names the containers of the models, so that a model may be deleted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.registry.models import MODEL, find_containers, require_model
from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

ENDPOINT = "Endpoint"
ENDPOINT_CONFIG = "EndpointConfig"
PLAN = "$plan"
"""The member of an endpoint's record that says what it is to become."""
SERVED = "$variants"
"""What the variants of an endpoint serve, or are to serve: their names, weights and the containers of their models."""
_FROM_CONFIG = ("AsyncInferenceConfig", "ExplainerConfig")
_OF_A_PLAN = (PLAN, "PendingDeploymentSummary", "FailureReason")


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
    return store.add_resource(ENDPOINT_CONFIG, name, arn, document, now=now, tags=request.get("Tags"))


def add_endpoint(
    store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime, plan_id: str
) -> ResourceRecord:
    """Make an endpoint that is ``Creating``.

    :param plan_id: of the plan in its record.
    :raises ServiceError: its name is taken, or its configuration does not exist.
    """
    name = request["EndpointName"]
    arn = arns.make("endpoint", name)
    if store.resources.find(ENDPOINT, name) is not None:
        raise validation_error(f'Cannot create already existing endpoint "{arn}".')
    plan = _plan(store, arns, request["EndpointConfigName"], plan_id=plan_id)
    document = {
        "EndpointName": name,
        "EndpointArn": arn,
        **plan["members"],
        "EndpointStatus": "Creating",
        "CreationTime": now,
        "LastModifiedTime": now,
        PLAN: plan,
    }
    return store.add_resource(ENDPOINT, name, arn, document, now=now, tags=request.get("Tags"), status="Creating")


def update_endpoint(
    store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime, plan_id: str
) -> ResourceRecord:
    """Plan another configuration of an endpoint, which is then ``Updating``.

    :raises ServiceError: the endpoint or the configuration does not exist, or the endpoint is being made or changed.
    """
    record = require_endpoint(store, arns, request["EndpointName"])
    if PLAN in record.document:
        raise validation_error(f'Cannot update in-progress endpoint "{record.arn}".')
    plan = _plan(store, arns, request["EndpointConfigName"], plan_id=plan_id)
    pending = {"EndpointConfigName": request["EndpointConfigName"], "StartTime": now}
    document = {**record.document, PLAN: plan, "PendingDeploymentSummary": pending}
    return save_status(store, record, document, "Updating", now=now)


def change_weights(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Give variants of an endpoint in service other weights and instance counts, at once.

    :raises ServiceError: the endpoint or a variant does not exist, or the endpoint is being made or changed.
    """
    record = require_endpoint(store, arns, request["EndpointName"])
    if PLAN in record.document:
        raise validation_error(f'Cannot update in-progress endpoint "{record.arn}".')
    summaries = {one["VariantName"]: dict(one) for one in record.document["ProductionVariants"]}
    served = {one["name"]: dict(one) for one in record.document.get(SERVED) or ()}
    for wanted in request["DesiredWeightsAndCapacities"]:
        name = wanted["VariantName"]
        if name not in summaries:
            raise validation_error(f'The variant "{name}" was not found in endpoint "{record.arn}".')
        if (weight := wanted.get("DesiredWeight")) is not None:
            summaries[name] |= {"CurrentWeight": weight, "DesiredWeight": weight}
            served.setdefault(name, {"name": name})["weight"] = weight
        if (count := wanted.get("DesiredInstanceCount")) is not None:
            summaries[name] |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    document = {**record.document, "ProductionVariants": [*summaries.values()], SERVED: [*served.values()]}
    return save_status(store, record, document, str(record.status), now=now)


def end_plan(store: Store, record: ResourceRecord, *, failure_reason: str | None, now: datetime) -> ResourceRecord:
    """Record that what was planned for an endpoint is done, or failed.

    An endpoint that could not be made is ``Failed``; one that could not be changed is what it was.
    """
    document = {key: value for key, value in record.document.items() if key not in _OF_A_PLAN}
    plan = record.document[PLAN]
    if failure_reason is None:
        document = {key: value for key, value in document.items() if key not in _FROM_CONFIG}
        return save_status(store, record, {**document, **plan["members"], SERVED: plan[SERVED]}, "InService", now=now)
    status = "Failed" if record.status == "Creating" else "InService"
    return save_status(store, record, {**document, "FailureReason": failure_reason}, status, now=now)


def save_status(
    store: Store, record: ResourceRecord, document: dict[str, Any], status: str, *, now: datetime
) -> ResourceRecord:
    """Write another status of an endpoint."""
    times = {"EndpointStatus": status, "LastModifiedTime": now}
    changed = replace(record, status=status, document={**document, **times}, modified_ms=to_ms(now))
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


def _plan(store: Store, arns: ArnFactory, config_name: str, *, plan_id: str) -> dict[str, Any]:
    """What an endpoint of this configuration is to become."""
    config = require_endpoint_config(store, arns, config_name).document
    members: dict[str, Any] = {key: config[key] for key in _FROM_CONFIG if key in config}
    summaries = [_summarize_variant(store, variant) for variant in config["ProductionVariants"]]
    return {
        "id": plan_id,
        "members": {"EndpointConfigName": config_name, "ProductionVariants": summaries, **members},
        SERVED: [_serve_variant(store, arns, variant) for variant in config["ProductionVariants"]],
        "config": {key: value for key, value in config.items() if key != "CreationTime"},
    }


def _serve_variant(store: Store, arns: ArnFactory, variant: Mapping[str, Any]) -> dict[str, Any]:
    served = {"name": variant["VariantName"], "weight": float(variant.get("InitialVariantWeight", 1.0))}
    if not variant.get("ModelName"):
        return {**served, "containers": [], "is_offline": False}
    model = require_model(store, arns, variant["ModelName"]).document
    containers = find_containers(store, arns, variant["ModelName"])
    return {**served, "containers": containers, "is_offline": bool(model.get("EnableNetworkIsolation"))}


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
