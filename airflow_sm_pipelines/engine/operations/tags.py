"""The operations on tags, for the ARNs of what the engine keeps."""

from __future__ import annotations

from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response, read_paging
from airflow_sm_pipelines.engine.rules.errors import not_found, validation_error

_MAX_TAGS = 50


def add_tags(context: OperationContext, request: Request) -> Response:
    """AddTags: adds or overwrites, and answers with all tags."""
    arn = request["ResourceArn"]
    with context.store.transaction():
        _require(context, arn)
        context.store.ledger.add_tags(arn, request["Tags"])
        tags = context.store.ledger.tags(arn)
        if len(tags) > _MAX_TAGS:
            raise validation_error(f"{arn} would have {len(tags)} tags; at most {_MAX_TAGS} are allowed.")
    return {"Tags": tags}


def list_tags(context: OperationContext, request: Request) -> Response:
    """ListTags."""
    _require(context, request["ResourceArn"])
    paging = read_paging("ListTags", request, columns={"": ""}, default_sort="", tie_column="")
    tags = context.store.ledger.tags(request["ResourceArn"])
    first = int(paging.page.after[0]) if paging.page.after is not None else 0
    last = first + paging.page.limit
    return {"Tags": tags[first:last], **paging.next_token((last, "") if last < len(tags) else None)}


def delete_tags(context: OperationContext, request: Request) -> Response:
    """DeleteTags."""
    with context.store.transaction():
        _require(context, request["ResourceArn"])
        context.store.ledger.delete_tags(request["ResourceArn"], request["TagKeys"])
    return {}


def owns_arn(context: OperationContext, arn: str) -> bool:
    """Whether the engine keeps what this ARN names; tags of other ARNs are somebody else's business."""
    if context.store.resources.find_by_arn(arn) is not None:
        return True
    pipeline = context.store.pipelines.find(arn.rpartition("/")[2])
    return pipeline is not None and pipeline.arn == arn


def _require(context: OperationContext, arn: str) -> None:
    if not owns_arn(context, arn):
        raise not_found(f"The resource '{arn}' does not exist.")
