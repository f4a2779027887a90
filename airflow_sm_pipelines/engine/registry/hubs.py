"""Hubs and their contents, such as the datasets and evaluators of SDK v3's AI registry.

The public hub has no records: a stand-in is made up for each model that somebody asks for (``rules/model_hub``).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import parse_arn
from airflow_sm_pipelines.engine.rules.errors import ServiceError, not_found

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

HUB = "Hub"
HUB_CONTENT = "HubContent"

_FIRST_VERSION = "1.0.0"


def add_hub(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Make a hub.

    :raises ServiceError: its name is taken.
    """
    name = request["HubName"]
    if store.resources.find(HUB, name) is not None:
        raise ServiceError("ResourceInUse", f"Hub '{name}' exists already.")
    document = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "HubArn": arns.make("hub", name),
        "HubStatus": "InService",
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    return store.add_resource(HUB, name, document["HubArn"], document, now=now, tags=request.get("Tags"))


def add_hub_content(store: Store, arns: ArnFactory, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Put a version of a content into a hub.

    :raises ServiceError: the hub does not exist, or it has that version.
    """
    hub = require_hub(store, arns, request["HubName"])
    path = "/".join((request["HubName"], request["HubContentType"], request["HubContentName"]))
    version = request.get("HubContentVersion") or _FIRST_VERSION
    name = f"{path}/{version}"
    if store.resources.find(HUB_CONTENT, name) is not None:
        raise ServiceError("ResourceInUse", f"Hub content '{name}' exists already.")
    arn = arns.make("hub-content", name)
    document = {
        **{key: value for key, value in request.items() if key != "Tags"},
        "HubContentVersion": version,
        "HubContentArn": arn,
        "HubArn": hub.arn,
        "HubContentStatus": "Available",
        "CreationTime": now,
        "LastModifiedTime": now,
    }
    family = path.rpartition("/")[0]
    return store.add_resource(HUB_CONTENT, name, arn, document, now=now, tags=request.get("Tags"), family=family)


def require_hub(store: Store, arns: ArnFactory, name: str) -> ResourceRecord:
    """The hub of this name or ARN.

    :raises ServiceError: there is none.
    """
    found = parse_arn(name)
    record = store.resources.find(HUB, found.name if found else name)
    if record is None:
        raise not_found(f"Hub '{arns.make('hub', name)}' does not exist.")
    return record


def list_contents(store: Store, hub: str, kind: str, name: str | None = None) -> list[ResourceRecord]:
    """The versions of all contents of a kind in a hub, or of one content; newest first."""
    records = store.resources.list_all(HUB_CONTENT, [("family = ?", f"{hub}/{kind}")])
    return [one for one in records if name is None or one.document["HubContentName"] == name]


def require_content(store: Store, hub: str, kind: str, name: str, version: str | None) -> ResourceRecord:
    """A version of a content, by default the newest.

    :raises ServiceError: there is none.
    """
    for record in list_contents(store, hub, kind, name):
        if version in (None, record.document["HubContentVersion"]):
            return record
    raise not_found(f"Hub content '{'/'.join((hub, kind, name, version or ''))}' does not exist.".replace("/'", "'"))


def find_dataset(store: Store, arn: str) -> str | None:
    """The S3 address of a hub's dataset; None if there is none of this ARN, or its document names no address.

    :param arn: ``arn:…:hub-content/<hub>/DataSet/<name>/<version>``, also without the version.
    """
    found = parse_arn(arn)
    parts = found.name.split("/") if found is not None and found.kind == "hub-content" else []
    if len(parts) not in (3, 4):
        return None
    try:
        hub, kind, name, version = [*parts, None][:4]
        record = require_content(store, str(hub), str(kind), str(name), version)
        document = json.loads(record.document["HubContentDocument"])
        return f"s3://{document['DatasetS3Bucket']}/{document['DatasetS3Prefix']}"
    except (ServiceError, ValueError, KeyError, TypeError):
        return None
