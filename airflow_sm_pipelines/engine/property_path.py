"""Walking into JSON: SageMaker's property paths, with list-by-key lookups, and the paths of ``Std:JsonGet``.

What belongs here: finding a value in a document. Which document it is, the resolver knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.rules.errors import ResolutionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonValue

PathSegment = str | int

# The member that names an entry of a list in Describe responses: Outputs['metrics'] is the entry whose OutputName is
# 'metrics'. Order matters only where an entry has two of them.
_LIST_KEYS = ("OutputName", "InputName", "ChannelName", "MetricName", "Name", "ModelName", "ParameterName", "TestName")


def render_path(path: Sequence[PathSegment]) -> str:
    """The path as people write it: ``Outputs['metrics'].S3Output.S3Uri``."""
    text = ""
    for segment in path:
        if isinstance(segment, int):
            text += f"[{segment}]"
        elif segment.isidentifier():
            text += f".{segment}" if text else segment
        else:
            text += f"['{segment}']"
    return text


def find_property(root: JsonValue, path: Sequence[PathSegment], *, where: str) -> JsonValue:
    """The value at a property path of a Describe response.

    A text segment into a list finds the entry of that name (``FinalMetricDataList['rmse'].Value``).

    :param where: what the root is, for the message.
    :raises ResolutionError: if nothing is there; names the first segment that leads nowhere.
    """
    current = root
    for position, segment in enumerate(path):
        found, current = _step_into(current, segment)
        if not found:
            at = render_path(path[: position + 1])
            raise ResolutionError(f"{where} has no property '{at}'.{_known(_parent(root, path[:position]))}")
    return current


def _parent(root: JsonValue, path: Sequence[PathSegment]) -> JsonValue:
    current = root
    for segment in path:
        _, current = _step_into(current, segment)
    return current


def _known(value: JsonValue) -> str:
    if isinstance(value, dict):
        return f" It has: {', '.join(sorted(value)) or 'nothing'}."
    if isinstance(value, list):
        names = [str(name) for entry in value for name in (_entry_name(entry),) if name is not None]
        return f" It holds {len(value)} entries{': ' + ', '.join(names) if names else ''}."
    return f" There is {'nothing' if value is None else f'a {type(value).__name__}'} in its place."


def _entry_name(entry: JsonValue) -> JsonValue:
    if isinstance(entry, dict):
        for key in _LIST_KEYS:
            if key in entry:
                return entry[key]
    return None


def _step_into(value: JsonValue, segment: PathSegment) -> tuple[bool, JsonValue]:
    if isinstance(value, dict):
        key = str(segment)
        return (True, value[key]) if key in value else (False, None)
    if isinstance(value, list):
        if isinstance(segment, int):
            return (True, value[segment]) if -1 < segment < len(value) else (False, None)
        for entry in value:
            if isinstance(entry, dict) and any(entry.get(key) == segment for key in _LIST_KEYS):
                return True, entry
    return False, None


def parse_json_path(text: str) -> tuple[PathSegment, ...]:
    """The segments of a ``Std:JsonGet`` path: ``a.b``, ``a[0]``, ``a['k']``; a leading ``$`` is allowed.

    :raises ResolutionError: if the path is malformed.
    """
    segments: list[PathSegment] = []
    position = 1 if text.startswith("$") else 0
    if position and text[position : position + 1] == ".":
        position += 1
    while position < len(text):
        if text[position] == "[":
            segment, position = _parse_bracket(text, position)
            segments.append(segment)
        else:
            end = position
            while end < len(text) and text[end] not in ".[":
                end += 1
            if end == position:
                raise ResolutionError(f"JSON path '{text}' has an empty name at position {position}.")
            segments.append(text[position:end])
            position = end
        if position < len(text) and text[position] == ".":
            position += 1
            if position == len(text):
                raise ResolutionError(f"JSON path '{text}' ends in a dot.")
    return tuple(segments)


def _parse_bracket(text: str, start: int) -> tuple[PathSegment, int]:
    quote = text[start + 1 : start + 2]
    if quote in ("'", '"') and quote:
        end = text.find(f"{quote}]", start + 2)
        if end > 0:
            return text[start + 2 : end], end + 2
    else:
        end = text.find("]", start)
        if end > 0 and text[start + 1 : end].isdigit():
            return int(text[start + 1 : end]), end + 1
    raise ResolutionError(f"JSON path '{text}' has a malformed '[' at position {start}: use [0] or ['name'].")
