"""The operations on endpoints and their configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.operations.resource_lists import delete_resource, list_resources, summarize
from airflow_sm_pipelines.engine.registry.endpoints import (
    ENDPOINT,
    ENDPOINT_CONFIG,
    add_endpoint_config,
    change_weights,
    require_endpoint,
    require_endpoint_config,
)

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response


def create_endpoint_config(context: OperationContext, request: Request) -> Response:
    """CreateEndpointConfig."""
    with context.store.transaction():
        record = add_endpoint_config(context.store, context.arns, request, now=context.services.clock())
    return {"EndpointConfigArn": record.arn}


def describe_endpoint_config(context: OperationContext, request: Request) -> Response:
    """DescribeEndpointConfig."""
    return require_endpoint_config(context.store, context.arns, request["EndpointConfigName"]).public_document


def delete_endpoint_config(context: OperationContext, request: Request) -> Response:
    """DeleteEndpointConfig; the endpoints that use it stay."""
    delete_resource(context, require_endpoint_config(context.store, context.arns, request["EndpointConfigName"]))
    return {}


def list_endpoint_configs(context: OperationContext, request: Request) -> Response:
    """ListEndpointConfigs, newest first by default."""
    records, more = list_resources(context, ENDPOINT_CONFIG, "ListEndpointConfigs", request)
    names = ("EndpointConfigName", "EndpointConfigArn", "CreationTime")
    return {"EndpointConfigs": [summarize(record, names) for record in records], **more}


def create_endpoint(context: OperationContext, request: Request) -> Response:
    """CreateEndpoint."""
    with context.store.transaction():
        record = context.runner.endpoints.create(request)
    context.runner.endpoints.start(record.name)
    return {"EndpointArn": record.arn}


def update_endpoint(context: OperationContext, request: Request) -> Response:
    """UpdateEndpoint."""
    with context.store.transaction():
        record = context.runner.endpoints.update(request)
    context.runner.endpoints.start(record.name)
    return {"EndpointArn": record.arn}


def update_weights(context: OperationContext, request: Request) -> Response:
    """UpdateEndpointWeightsAndCapacities."""
    with context.store.transaction():
        record = change_weights(context.store, context.arns, request, now=context.services.clock())
    return {"EndpointArn": record.arn}


def describe_endpoint(context: OperationContext, request: Request) -> Response:
    """DescribeEndpoint."""
    return require_endpoint(context.store, context.arns, request["EndpointName"]).public_document


def delete_endpoint(context: OperationContext, request: Request) -> Response:
    """DeleteEndpoint."""
    record = require_endpoint(context.store, context.arns, request["EndpointName"])
    delete_resource(context, record)
    context.runner.endpoints.stop(record.name)
    return {}


def list_endpoints(context: OperationContext, request: Request) -> Response:
    """ListEndpoints, newest first by default."""
    records, more = list_resources(context, ENDPOINT, "ListEndpoints", request)
    names = ("EndpointName", "EndpointArn", "CreationTime", "LastModifiedTime", "EndpointStatus")
    return {"Endpoints": [summarize(record, names) for record in records], **more}
