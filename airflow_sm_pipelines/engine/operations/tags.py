"""The operations on the tags of what the engine keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.arns import pipeline_name_of
from airflow_sm_pipelines.engine.operations.resource_lists import cut_page
from airflow_sm_pipelines.engine.rules.errors import not_found, validation_error

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response

_MAX_TAGS = 50


def add_tags(context: OperationContext, request: Request) -> Response:
    """AddTags: it adds or overwrites tags, and answers with all of them."""
    arn = request["ResourceArn"]
    with context.store.transaction():
        _require(context, arn)
        context.store.tags.add(arn, request["Tags"])
        tags = context.store.tags.of(arn)
        if len(tags) > _MAX_TAGS:
            raise validation_error(f"{arn} would have {len(tags)} tags; at most {_MAX_TAGS} are allowed.")
    return {"Tags": tags}


def list_tags(context: OperationContext, request: Request) -> Response:
    """ListTags."""
    _require(context, request["ResourceArn"])
    page, more = cut_page("ListTags", request, context.store.tags.of(request["ResourceArn"]))
    return {"Tags": page, **more}


def delete_tags(context: OperationContext, request: Request) -> Response:
    """DeleteTags."""
    with context.store.transaction():
        _require(context, request["ResourceArn"])
        context.store.tags.delete(request["ResourceArn"], request["TagKeys"])
    return {}


def owns_arn(context: OperationContext, arn: str) -> bool:
    """Whether the engine keeps what this ARN names."""
    if context.store.resources.find_by_arn(arn) is not None:
        return True
    pipeline = context.store.pipelines.find(pipeline_name_of(arn))
    return pipeline is not None and pipeline.arn == arn


def _require(context: OperationContext, arn: str) -> None:
    if not owns_arn(context, arn):
        raise not_found(f"The resource '{arn}' does not exist.")
