"""Reads rendered fields of task instances, as Airflow's API answers them or as a person writes them down."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject

_CUT = "Truncated. You can change this behaviour"


def parse_rendered(document: JsonObject, *, name: str) -> dict[str, Any]:
    """The rendered ``config`` by task id.

    :param document: the answer for a task instance, the answer for all of a run, or an object with a config, or with
        rendered fields, for each task id.
    :param name: of the file, for messages.
    :raises MigrationError: Airflow has cut a config, or none is there.
    """
    found = {task_id: _read(value, f"{name}: {task_id}") for task_id, value in _iter_configs(document)}
    if not found:
        raise MigrationError(f"{name}: no rendered config is in it. Expected rendered_fields with a config.")
    return found


def _iter_configs(document: JsonObject) -> Iterator[tuple[str, Any]]:
    instances = document.get("task_instances")
    if isinstance(instances, list):
        for one in instances:
            if isinstance(one, dict):
                yield from _iter_configs(one)
        return
    fields, task_id = document.get("rendered_fields"), document.get("task_id")
    if isinstance(fields, dict) and isinstance(task_id, str):
        if "config" in fields:
            yield task_id, fields["config"]
        return
    for key, value in document.items():
        inner = value.get("rendered_fields", value) if isinstance(value, dict) else value
        yield key, inner["config"] if isinstance(inner, dict) and "config" in inner else inner


def _read(value: Any, place: str) -> Any:
    if not isinstance(value, str):
        return value
    if value.startswith(_CUT) or value.endswith("..."):
        raise MigrationError(
            f"{place}: Airflow has cut this config. Set [core] max_templated_field_length to more than its length, run "
            "the task again, and fetch it again."
        )
    for load in (json.loads, ast.literal_eval):
        try:
            return load(value)
        except (ValueError, SyntaxError):
            continue
    raise MigrationError(f"{place}: this config is neither JSON nor a Python literal.")
