"""Lineage entities (actions, artifacts, contexts) and the associations between what has an ARN."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.errors import not_found, validation_error

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

ASSOCIATION = "Association"
_ARTIFACT_ID_LENGTH = 32


@dataclass(frozen=True, slots=True)
class EntityKind:
    """A kind of lineage entity.

    :param name: as in the names of operations, such as ``Action``.
    :param key: the member that names one in Describe, Update and Delete requests.
    """

    name: str
    key: str


ACTION = EntityKind("Action", "ActionName")
ARTIFACT = EntityKind("Artifact", "ArtifactArn")
CONTEXT = EntityKind("Context", "ContextName")
ENTITY_KINDS = (ACTION, ARTIFACT, CONTEXT)


def add_entity(
    store: Store, arns: ArnFactory, kind: EntityKind, request: Mapping[str, Any], *, now: datetime
) -> ResourceRecord:
    """Make an entity. An artifact is named by a hash of its source and the moment, since several may share a name.

    :raises ServiceError: the name of an action or a context is taken.
    """
    given = request.get(f"{kind.name}Name")
    if kind is ARTIFACT:
        told = f"{request['Source']['SourceUri']} {given} {now.isoformat()}"
        name = hashlib.sha256(told.encode()).hexdigest()[:_ARTIFACT_ID_LENGTH]
    else:
        name = str(given)
    if store.resources.find(kind.name, name) is not None:
        raise validation_error(f"{kind.name} names must be unique within an AWS account and region: '{name}' exists.")
    arn = arns.make(kind.name.lower(), name)
    document = {
        **{key: value for key, value in request.items() if key != "Tags"},
        f"{kind.name}Arn": arn,
        "CreationTime": now,
        "CreatedBy": {},
        "LastModifiedTime": now,
        "LastModifiedBy": {},
    }
    return store.add_resource(kind.name, name, arn, document, now=now, tags=request.get("Tags"))


def require_entity(store: Store, kind: EntityKind, name: str) -> ResourceRecord:
    """The entity of a name or ARN.

    :raises ServiceError: there is none.
    """
    record = store.resources.find_by_arn(name) or store.resources.find(kind.name, name)
    if record is None or record.kind != kind.name:
        raise not_found(f"{kind.name} '{name}' does not exist.")
    return record


def add_association(store: Store, request: Mapping[str, Any], *, now: datetime) -> ResourceRecord:
    """Join two ARNs. To join them again changes nothing.

    :param request: ``SourceArn``, ``DestinationArn``, and perhaps ``AssociationType``.
    """
    name = f"{request['SourceArn']} {request['DestinationArn']}"
    found = store.resources.find(ASSOCIATION, name)
    if found is not None:
        return found
    document: dict[str, Any] = {**request, "CreationTime": now, "CreatedBy": {}}
    for end in ("Source", "Destination"):
        record = store.resources.find_by_arn(request[f"{end}Arn"])
        if record is not None:
            document[f"{end}Name"] = record.document.get(f"{record.kind}Name") or record.name
            document[f"{end}Type"] = record.document.get(f"{record.kind}Type") or record.kind
    return store.add_resource(ASSOCIATION, name, f"association {name}", document, now=now)
