"""The changes between two definitions, under the names people know: parameters, steps, inputs, outputs.

A step keeps its identity wherever it stands: moving it into a branch shows as a move, not as one step removed and
another added. There are no changes exactly if both definitions have the same canonical text.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition.canonical import canonical_document
from airflow_sm_pipelines.definition.json_value import (
    JsonObject,
    JsonPath,
    JsonValue,
    format_path,
    is_same_json,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition

NAME_KEYS = ("Name", "InputName", "OutputName", "ChannelName", "PropertyFileName", "Key", "MetricName", "VariantName")
"""The members that can name the entries of an array, if every entry has the member and all values differ."""

PLACE = "(place)"
"""The key that holds where a step stands, such as ``If branch of Check``."""

_CHILDREN = {"Condition": ("IfSteps", "ElseSteps"), "ForEach": ("ForEachBody",)}


@dataclass(frozen=True, slots=True)
class Change:
    """One difference.

    :param path: ``Steps.Train.Arguments.HyperParameters.max_depth``; entries of arrays by name if they have one.
        A step's place is ``Steps.Train (place)``, the order of named entries ``Steps (order)``.
    :param before: the old JSON value; ``None`` for an addition.
    :param after: the new JSON value; ``None`` for a removal.
    """

    kind: Literal["added", "removed", "changed"]
    path: str
    before: JsonValue
    after: JsonValue


def diff_definitions(old: PipelineDefinition, new: PipelineDefinition) -> tuple[Change, ...]:
    """Find every difference that matters to SageMaker, in the order of the new document; removals come last."""
    return tuple(_diff((), _by_name(canonical_document(old)), _by_name(canonical_document(new))))


def render_changes(changes: Sequence[Change]) -> str:
    """Write the changes for a terminal or a log, a line each; ``No changes.`` for none."""
    if not changes:
        return "No changes."
    return "\n".join(_render(change) for change in changes)


def _by_name(document: JsonObject) -> JsonObject:
    """The document with all steps in one list; each says under :data:`PLACE` where it stands."""
    steps: list[JsonValue] = []
    flat: JsonObject = {key: value for key, value in document.items() if key != "Steps"}
    stack: list[tuple[JsonValue, str]] = [(step, "the pipeline") for step in reversed(_array(document.get("Steps")))]
    while stack:
        step, place = stack.pop()
        if not isinstance(step, dict):
            continue
        children: list[tuple[JsonValue, str]] = []
        own: JsonObject = dict(step)
        arguments = step.get("Arguments")
        for key in _CHILDREN.get(str(step["Type"]), ()):
            if isinstance(arguments, dict) and key in arguments:
                where = "body" if key == "ForEachBody" else key.removesuffix("Steps") + " branch"
                children += [(child, f"{where} of {step['Name']}") for child in _array(arguments[key])]
                arguments = {inner: value for inner, value in arguments.items() if inner != key}
        if children:
            own["Arguments"] = arguments
        own[PLACE] = place
        steps.append(own)
        stack.extend(reversed(children))
    flat["Steps"] = steps
    return flat


def _array(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _diff(path: JsonPath, old: JsonValue, new: JsonValue) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _diff_members(path, old, new)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _diff_arrays(path, old, new)
    elif not is_same_json(old, new):
        yield Change("changed", _path(path), old, new)


def _diff_members(path: JsonPath, old: Mapping[str, JsonValue], new: Mapping[str, JsonValue]) -> Iterator[Change]:
    for key, value in new.items():
        if key in old:
            yield from _diff((*path, key), old[key], value)
        else:
            yield Change("added", _path((*path, key)), None, value)
    for key, value in old.items():
        if key not in new:
            yield Change("removed", _path((*path, key)), value, None)


def _diff_arrays(path: JsonPath, old: list[JsonValue], new: list[JsonValue]) -> Iterator[Change]:
    before, after = _named(old), _named(new)
    if before is not None and after is not None and (before or after):
        yield from _diff_members(path, before, after)
        old_order = [name for name in before if name in after]
        new_order = [name for name in after if name in before]
        if old_order != new_order:
            yield Change("changed", f"{_path(path)} (order)", list(old_order), list(new_order))
    elif len(old) == len(new) and not is_same_json(old, new) and any(isinstance(item, (dict, list)) for item in new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _diff((*path, index), left, right)
    elif not is_same_json(old, new):
        yield Change("changed", _path(path), old, new)


def _named(items: list[JsonValue]) -> dict[str, JsonValue] | None:
    """The entries by name; ``None`` if no member names all of them."""
    for key in NAME_KEYS:
        named: dict[str, JsonValue] = {}
        for item in items:
            name = item.get(key) if isinstance(item, dict) else None
            if isinstance(name, str):
                named[name] = item
        if len(named) == len(items):
            return named
    return None


def _path(path: JsonPath) -> str:
    return f"{format_path(path[:-1])} {PLACE}" if path and path[-1] == PLACE else format_path(path)


def _render(change: Change) -> str:
    if change.kind == "added":
        return f"+ {change.path}{_summary(change.after)}"
    if change.kind == "removed":
        return f"- {change.path}{_summary(change.before)}"
    before, after = _text(change.before), _text(change.after)
    if len(before) + len(after) <= 70 and "\n" not in before + after:
        return f"~ {change.path}: {before} → {after}"
    return f"~ {change.path}:\n    - {before}\n    + {after}"


def _summary(value: JsonValue) -> str:
    if isinstance(value, dict) and "Name" in value and "Type" in value:
        kind = str(value["Type"])
        place = value.get(PLACE)
        default = f" = {_text(value['DefaultValue'])}" if "DefaultValue" in value else ""
        where = f", in the {place}" if isinstance(place, str) and place != "the pipeline" else ""
        return f" ({kind}{where}){default}"
    return f": {_text(value)}"


def _text(value: JsonValue, *, limit: int = 160) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 4]} ..."
