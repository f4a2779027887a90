"""The operations on lineage entities and associations."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.operations.resource_lists import cut_page, delete_resource, read_all, summarize
from airflow_sm_pipelines.engine.registry.lineage_entities import (
    ARTIFACT,
    ASSOCIATION,
    ENTITY_KINDS,
    EntityKind,
    add_association,
    add_entity,
    require_entity,
)
from airflow_sm_pipelines.engine.rules.errors import not_found
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.engine.operations.context import Operation, OperationContext, Request, Response
    from airflow_sm_pipelines.engine.store import ResourceRecord

_ASSOCIATION_FILTERS = ("SourceArn", "DestinationArn", "SourceType", "DestinationType", "AssociationType")
_ASSOCIATION_SUMMARY = (*_ASSOCIATION_FILTERS, "SourceName", "DestinationName", "CreationTime", "CreatedBy")


def lineage_operations() -> Mapping[str, Operation]:
    """The operations by their API names."""
    found: dict[str, Operation] = {
        "AddAssociation": _add_association,
        "DeleteAssociation": _delete_association,
        "ListAssociations": _list_associations,
    }
    for kind in ENTITY_KINDS:
        found[f"Create{kind.name}"] = partial(_create, kind)
        found[f"Describe{kind.name}"] = partial(_describe, kind)
        found[f"Update{kind.name}"] = partial(_update, kind)
        found[f"Delete{kind.name}"] = partial(_delete, kind)
        found[f"List{kind.name}s"] = partial(_list, kind)
    return found


def _create(kind: EntityKind, context: OperationContext, request: Request) -> Response:
    with context.store.transaction():
        record = add_entity(context.store, context.arns, kind, request, now=context.services.clock())
    return {f"{kind.name}Arn": record.arn}


def _describe(kind: EntityKind, context: OperationContext, request: Request) -> Response:
    return require_entity(context.store, kind, request[kind.key]).public_document


def _update(kind: EntityKind, context: OperationContext, request: Request) -> Response:
    with context.store.transaction():
        record = require_entity(context.store, kind, request[kind.key])
        now = context.services.clock()
        changed = {key: value for key, value in request.items() if key not in (kind.key, "PropertiesToRemove")}
        properties = {**record.document.get("Properties", {}), **(request.get("Properties") or {})}
        for key in request.get("PropertiesToRemove") or ():
            properties.pop(key, None)
        document = {**record.document, **changed, "Properties": properties, "LastModifiedTime": now}
        context.store.resources.save(replace(record, document=document, modified_ms=to_ms(now)))
    return {f"{kind.name}Arn": record.arn}


def _delete(kind: EntityKind, context: OperationContext, request: Request) -> Response:
    if kind is ARTIFACT and not request.get(kind.key):
        uri = (request.get("Source") or {}).get("SourceUri")
        record = next((one for one in read_all(context.store, kind.name) if _source_of(one) == uri), None)
        if record is None:
            raise not_found(f"No artifact has the source '{uri}'.")
    else:
        record = require_entity(context.store, kind, request[kind.key])
    delete_resource(context, record)
    return {f"{kind.name}Arn": record.arn}


def _list(kind: EntityKind, context: OperationContext, request: Request) -> Response:
    member = f"{kind.name}Type"
    found = [
        record
        for record in read_all(context.store, kind.name)
        if request.get("SourceUri") in (None, _source_of(record))
        and request.get(member) in (None, record.document.get(member))
        and _is_within(request, record)
    ]
    names = (f"{kind.name}Name", f"{kind.name}Arn", "Source", member, "Status", "CreationTime", "LastModifiedTime")
    return _page(f"List{kind.name}s", f"{kind.name}Summaries", request, found, names)


def _add_association(context: OperationContext, request: Request) -> Response:
    with context.store.transaction():
        record = add_association(context.store, request, now=context.services.clock())
    return summarize(record, ("SourceArn", "DestinationArn"))


def _delete_association(context: OperationContext, request: Request) -> Response:
    name = f"{request['SourceArn']} {request['DestinationArn']}"
    record = context.store.resources.find(ASSOCIATION, name)
    if record is None:
        raise not_found(f"No association leads from '{request['SourceArn']}' to '{request['DestinationArn']}'.")
    delete_resource(context, record)
    return summarize(record, ("SourceArn", "DestinationArn"))


def _list_associations(context: OperationContext, request: Request) -> Response:
    found = [
        record
        for record in read_all(context.store, ASSOCIATION)
        if all(request.get(member) in (None, record.document.get(member)) for member in _ASSOCIATION_FILTERS)
        and _is_within(request, record)
    ]
    return _page("ListAssociations", "AssociationSummaries", request, found, _ASSOCIATION_SUMMARY)


def _page(
    operation: str, member: str, request: Request, found: list[ResourceRecord], names: tuple[str, ...]
) -> Response:
    if request.get("SortOrder") == "Ascending":
        found = found[::-1]
    if request.get("SortBy") == "Name":
        found = sorted(found, key=lambda record: record.name, reverse=request.get("SortOrder") != "Ascending")
    shown, more = cut_page(operation, request, found)
    return {member: [summarize(record, names) for record in shown], **more}


def _source_of(record: ResourceRecord) -> Any:
    return (record.document.get("Source") or {}).get("SourceUri")


def _is_within(request: Request, record: ResourceRecord) -> bool:
    after, before = request.get("CreatedAfter"), request.get("CreatedBefore")
    return (after is None or record.created_ms > to_ms(after)) and (before is None or record.created_ms < to_ms(before))
