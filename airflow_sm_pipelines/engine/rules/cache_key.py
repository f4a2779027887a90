"""The key under which a cached result is found again, and why none was found.

:mod:`~airflow_sm_pipelines.definition.cache_identity` says which members of a step are part of it.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.cache_identity import select_cache_fields
from airflow_sm_pipelines.definition.json_value import format_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue

_MAX_DIFFERENCES = 10
_MAX_VALUE = 200


def make_cache_key(step_type: str, fields: JsonObject, *more: JsonValue) -> str:
    """The digest of all that decides whether a step may take a cached result.

    :param fields: the members of the step that count, resolved.
    :param more: what else counts on this machine, such as the code of a stand-in.
    """
    text = json.dumps([step_type, fields, *more], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def explain_changes(step_type: str, old: JsonObject, new: JsonObject, *, source: str) -> list[str]:
    """A line for each field that counts for caching and differs.

    :param old: the request of the last cached result.
    :param new: the request that is about to run.
    :param source: the execution that has the last result.
    """
    before, after = (select_cache_fields(step_type, request, {}) for request in (old, new))
    changes = list(_iter_changes(before, after, ()))
    lines = [
        f"Cache miss: {format_path(path)} is {_show(now)}, was {_show(was)} in {source}." for path, was, now in changes
    ]
    if len(lines) > _MAX_DIFFERENCES:
        lines = [*lines[:_MAX_DIFFERENCES], f"Cache miss: {len(lines) - _MAX_DIFFERENCES} more fields differ."]
    return lines


_ABSENT = object()


def _iter_changes(was: Any, now: Any, path: JsonPath) -> Iterator[tuple[JsonPath, Any, Any]]:
    if isinstance(was, dict) and isinstance(now, dict):
        for key in dict.fromkeys([*was, *now]):
            yield from _iter_changes(was.get(key, _ABSENT), now.get(key, _ABSENT), (*path, key))
    elif isinstance(was, list) and isinstance(now, list):
        for index in range(max(len(was), len(now))):
            pair = [items[index] if index < len(items) else _ABSENT for items in (was, now)]
            yield from _iter_changes(pair[0], pair[1], (*path, index))
    elif was is _ABSENT or now is _ABSENT or was != now:
        yield path, was, now


def _show(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_VALUE else f"{text[:_MAX_VALUE]}..."
