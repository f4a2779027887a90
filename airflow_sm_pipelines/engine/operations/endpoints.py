"""The operations on endpoints and their configurations: the control plane; nothing here serves a model."""

from __future__ import annotations

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
from airflow_sm_pipelines.engine.registry.endpoints import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    add_endpoint,
    add_endpoint_config,
    require_endpoint,
    require_endpoint_config,
)
from airflow_sm_pipelines.engine.registry.endpoints import update_endpoint as change_endpoint
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


def create_endpoint_config(context: OperationContext, request: Request) -> Response:
    """CreateEndpointConfig."""
    with context.store.transaction():
        record = add_endpoint_config(context.store, context.arns, request, now=context.services.clock())
    return {"EndpointConfigArn": record.arn}


def describe_endpoint_config(context: OperationContext, request: Request) -> Response:
    """DescribeEndpointConfig."""
    return public_document(require_endpoint_config(context.store, context.arns, request["EndpointConfigName"]))


def delete_endpoint_config(context: OperationContext, request: Request) -> Response:
    """DeleteEndpointConfig; endpoints that use it go on."""
    with context.store.transaction():
        _delete(context, require_endpoint_config(context.store, context.arns, request["EndpointConfigName"]))
    return {}


def list_endpoint_configs(context: OperationContext, request: Request) -> Response:
    """ListEndpointConfigs, newest first by default."""
    records, more = _list(context, ENDPOINT_CONFIG, request)
    names = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
    return {"EndpointConfigs": [_members(record, names) for record in records], **more}


def create_endpoint(context: OperationContext, request: Request) -> Response:
    """CreateEndpoint."""
    with context.store.transaction():
        record = add_endpoint(context.store, context.arns, request, now=context.services.clock())
    return {"EndpointArn": record.arn}


def update_endpoint(context: OperationContext, request: Request) -> Response:
    """UpdateEndpoint: the configuration changes at once."""
    with context.store.transaction():
        record = change_endpoint(context.store, context.arns, request, now=context.services.clock())
    return {"EndpointArn": record.arn}


def describe_endpoint(context: OperationContext, request: Request) -> Response:
    """DescribeEndpoint."""
    return public_document(require_endpoint(context.store, context.arns, request["EndpointName"]))


def delete_endpoint(context: OperationContext, request: Request) -> Response:
    """DeleteEndpoint."""
    with context.store.transaction():
        _delete(context, require_endpoint(context.store, context.arns, request["EndpointName"]))
    return {}


def list_endpoints(context: OperationContext, request: Request) -> Response:
    """ListEndpoints, newest first by default."""
    records, more = _list(context, ENDPOINT, request)
    names = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    return {"Endpoints": [_members(record, names) for record in records], **more}


def _list(context: OperationContext, kind: str, request: Request) -> tuple[list[ResourceRecord], Response]:
    paging = read_paging(f"List{kind}s", request, columns=_COLUMNS, default_sort="CreationTime", tie_column="seq")
    filters: list[tuple[str, Any]] = time_filters(request, _TIME_FILTERS)
    if request.get("NameContains"):
        filters.append(contains_filter("name", request["NameContains"]))
    if request.get("StatusEquals"):
        filters.append(("status = ?", request["StatusEquals"]))
    records, after = context.store.resources.page(kind, filters, paging.page)
    return records, paging.next_token(after)


def _members(record: ResourceRecord, names: tuple[str, ...]) -> Response:
    return present(**{name: record.document.get(name) for name in names})


def _delete(context: OperationContext, record: ResourceRecord) -> None:
    context.store.resources.delete(record.kind, record.name)
    context.store.ledger.delete_tags(record.arn)
