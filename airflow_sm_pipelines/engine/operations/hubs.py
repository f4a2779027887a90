"""The operations on hubs and their contents. Models of the public hub are stand-ins that are made up when asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import Arn
from airflow_sm_pipelines.definition.s3_uri import locate_bucket
from airflow_sm_pipelines.engine.operations.resource_lists import cut_page, delete_resource, read_all, summarize
from airflow_sm_pipelines.engine.registry.hubs import (
    HUB,
    add_hub,
    add_hub_content,
    list_contents,
    require_content,
    require_hub,
)
from airflow_sm_pipelines.engine.rules.model_hub import MARK, PUBLIC_HUB, make_model_document

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response
    from airflow_sm_pipelines.engine.store import ResourceRecord

_VERSION = "1.0.0"
_HUB_SUMMARY = (
    "HubName",
    "HubArn",
    "HubDisplayName",
    "HubDescription",
    "HubStatus",
    "CreationTime",
    "LastModifiedTime",
)
_CONTENT_SUMMARY = (
    "HubContentName",
    "HubContentArn",
    "HubContentVersion",
    "HubContentType",
    "DocumentSchemaVersion",
    "HubContentDisplayName",
    "HubContentDescription",
    "HubContentSearchKeywords",
    "HubContentStatus",
    "CreationTime",
)


def create_hub(context: OperationContext, request: Request) -> Response:
    """CreateHub."""
    with context.store.transaction():
        return {"HubArn": add_hub(context.store, context.arns, request, now=context.services.clock()).arn}


def describe_hub(context: OperationContext, request: Request) -> Response:
    """DescribeHub."""
    return require_hub(context.store, context.arns, request["HubName"]).public_document


def delete_hub(context: OperationContext, request: Request) -> Response:
    """DeleteHub."""
    delete_resource(context, require_hub(context.store, context.arns, request["HubName"]))
    return {}


def list_hubs(context: OperationContext, request: Request) -> Response:
    """ListHubs, newest first."""
    records, more = cut_page("ListHubs", request, read_all(context.store, HUB))
    return {"HubSummaries": [summarize(record, _HUB_SUMMARY) for record in records], **more}


def import_hub_content(context: OperationContext, request: Request) -> Response:
    """ImportHubContent; the content is available at once."""
    with context.store.transaction():
        record = add_hub_content(context.store, context.arns, request, now=context.services.clock())
    return {"HubArn": record.document["HubArn"], "HubContentArn": record.arn}


def describe_hub_content(context: OperationContext, request: Request) -> Response:
    """DescribeHubContent. A model of the public hub is made up, and its document says so."""
    if request["HubName"] == PUBLIC_HUB and request["HubContentType"] == "Model":
        return _describe_stand_in(context, request["HubContentName"])
    return _require(context, request).public_document


def delete_hub_content(context: OperationContext, request: Request) -> Response:
    """DeleteHubContent: one version."""
    delete_resource(context, _require(context, request))
    return {}


def list_hub_contents(context: OperationContext, request: Request) -> Response:
    """ListHubContents: the newest version of each. The public hub lists nothing, since it takes every model's name."""
    if request["HubName"] == PUBLIC_HUB:
        return {"HubContentSummaries": []}
    require_hub(context.store, context.arns, request["HubName"])
    newest: dict[str, ResourceRecord] = {}
    for record in list_contents(context.store, request["HubName"], request["HubContentType"]):
        name = record.document["HubContentName"]
        if (request.get("NameContains") or "") in name:
            newest.setdefault(name, record)
    return _summarize("ListHubContents", request, list(newest.values()))


def list_hub_content_versions(context: OperationContext, request: Request) -> Response:
    """ListHubContentVersions, newest first."""
    names = (request["HubName"], request["HubContentType"], request["HubContentName"])
    return _summarize("ListHubContentVersions", request, list_contents(context.store, *names))


def _summarize(operation: str, request: Request, records: list[ResourceRecord]) -> Response:
    shown, more = cut_page(operation, request, records)
    return {"HubContentSummaries": [summarize(record, _CONTENT_SUMMARY) for record in shown], **more}


def _require(context: OperationContext, request: Request) -> ResourceRecord:
    names = (request["HubName"], request["HubContentType"], request["HubContentName"])
    return require_content(context.store, *names, request.get("HubContentVersion"))


def _describe_stand_in(context: OperationContext, name: str) -> Response:
    arns = context.arns
    bucket = f"sm-pipelines-model-hub-{arns.region}"
    document, files = make_model_document(bucket)
    _put_files(context.services.s3, bucket, arns.region, files)

    def make_arn(resource: str) -> str:
        return str(Arn(arns.partition, "sagemaker", arns.region, "aws", resource))

    return {
        "HubName": PUBLIC_HUB,
        "HubArn": make_arn(f"hub/{PUBLIC_HUB}"),
        "HubContentName": name,
        "HubContentArn": make_arn(f"hub-content/{PUBLIC_HUB}/Model/{name}/{_VERSION}"),
        "HubContentVersion": _VERSION,
        "HubContentType": "Model",
        "DocumentSchemaVersion": "2.4.0",
        "HubContentDescription": MARK,
        "HubContentDocument": json.dumps(document),
        "HubContentStatus": "Available",
        "CreationTime": context.services.clock(),
        "LastModifiedTime": context.services.clock(),
    }


def _put_files(s3: Any, bucket: str, region: str, files: dict[str, bytes]) -> None:
    """Put the files that a stand-in names, unless they are there."""
    from botocore.exceptions import ClientError

    try:
        found = s3.list_objects_v2(Bucket=bucket, Prefix="").get("Contents", ())
    except ClientError:
        found = ()
        s3.create_bucket(Bucket=bucket, **locate_bucket(region))
    for key in files.keys() - {item["Key"] for item in found}:
        s3.put_object(Bucket=bucket, Key=key, Body=files[key])
