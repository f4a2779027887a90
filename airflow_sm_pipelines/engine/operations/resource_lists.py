"""What operations on stored resources share: lists with their pages, summaries, and deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sm_pipelines.engine.operations.context import (
    OperationContext,
    Request,
    Response,
    read_paging,
    time_filters,
    without_none,
)
from airflow_sm_pipelines.engine.store.resources import contains_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

Item = TypeVar("Item")
_COLUMNS = {"Name": "name", "CreationTime": "created_ms", "Status": "status"}
_TIME_FILTERS = [
    ("CreationTimeAfter", "created_ms > ?"),
    ("CreationTimeBefore", "created_ms < ?"),
    ("LastModifiedTimeAfter", "modified_ms > ?"),
    ("LastModifiedTimeBefore", "modified_ms < ?"),
]


def list_resources(
    context: OperationContext,
    kind: str,
    operation: str,
    request: Request,
    *,
    filters: Sequence[tuple[str, Any]] = (),
    tie_column: str = "seq",
) -> tuple[list[ResourceRecord], Response]:
    """The page of resources that a list request asks for, newest first by default.

    :param filters: further SQL conditions and their values.
    :return: the records, and the ``NextToken`` member of the answer.
    """
    paging = read_paging(operation, request, columns=_COLUMNS, default_sort="CreationTime", tie_column=tie_column)
    wanted: list[tuple[str, Any]] = [*filters, *time_filters(request, _TIME_FILTERS)]
    if request.get("NameContains"):
        wanted.append(contains_filter("name", request["NameContains"]))
    if request.get("StatusEquals"):
        wanted.append(("status = ?", request["StatusEquals"]))
    records, after = context.store.resources.page(kind, wanted, paging.page)
    return records, paging.next_token(after)


def summarize(record: ResourceRecord, members: Sequence[str]) -> Response:
    """These members of a resource's Describe answer, as far as it has them."""
    return without_none(**{name: record.document.get(name) for name in members})


def delete_resource(context: OperationContext, record: ResourceRecord) -> None:
    """Delete a resource and its tags."""
    with context.store.transaction():
        context.store.resources.delete(record.kind, record.name)
        context.store.tags.delete(record.arn)


def read_all(store: Store, kind: str, filters: Sequence[tuple[str, Any]] = ()) -> list[ResourceRecord]:
    """Every resource of a kind, newest first."""
    return store.resources.list_all(kind, filters)


def cut_page(operation: str, request: Request, items: Sequence[Item]) -> tuple[list[Item], Response]:
    """Cut a page from a list in memory, for lists that the store has no column for.

    :return: the items of the page, and the ``NextToken`` member of the answer.
    """
    plain = {key: value for key, value in request.items() if key not in ("SortBy", "SortOrder")}
    name = f"{operation} {request.get('SortBy')} {request.get('SortOrder')}"
    paging = read_paging(name, plain, columns={"": ""}, default_sort="", tie_column="")
    first = int(paging.page.after[0]) if paging.page.after is not None else 0
    last = first + paging.page.limit
    return list(items[first:last]), paging.next_token((last, "") if last < len(items) else None)
