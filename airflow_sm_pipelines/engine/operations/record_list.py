"""Lists that are filtered and sorted in memory, where the store has no column for it: their pages and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_sm_pipelines.engine.operations.context import Request, Response, read_paging
from airflow_sm_pipelines.engine.store.database import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.engine.store import ResourceRecord, Store

Item = TypeVar("Item")
_EVERYTHING = Page(sort_column="created_ms", tie_column="seq", is_descending=True, limit=1_000_000)


def read_all(store: Store, kind: str, filters: Sequence[tuple[str, Any]] = ()) -> list[ResourceRecord]:
    """Every resource of a kind, newest first."""
    records, _ = store.resources.page(kind, filters, _EVERYTHING)
    return records


def cut_page(operation: str, request: Request, items: Sequence[Item]) -> tuple[list[Item], Response]:
    """The page of these items that a request asks for, and the ``NextToken`` member of its answer."""
    plain = {key: value for key, value in request.items() if key not in ("SortBy", "SortOrder")}
    name = f"{operation} {request.get('SortBy')} {request.get('SortOrder')}"
    paging = read_paging(name, plain, columns={"": ""}, default_sort="", tie_column="")
    first = int(paging.page.after[0]) if paging.page.after is not None else 0
    last = first + paging.page.limit
    return list(items[first:last]), paging.next_token((last, "") if last < len(items) else None)
