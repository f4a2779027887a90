"""JSON values and the paths that name a place in them.

Reading JSON text is in :mod:`json_text`. Paths of expressions, which look entries up by name, are in
:mod:`property_path`.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
"""Any JSON value. Values inside a parsed definition are shared: copy one before you change it."""

JsonObject: TypeAlias = "dict[str, JsonValue]"
"""A JSON object."""

JsonPath: TypeAlias = "tuple[str | int, ...]"
"""A place in a JSON document: object keys and array indexes from its root."""

MAX_NESTING = 300
"""How deep arrays and objects may be nested: about ninety Condition steps, three times the most ever seen."""


class Missing(Enum):
    """The type of :data:`MISSING`."""

    MISSING = "MISSING"

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Literal[Missing.MISSING] = Missing.MISSING
"""Means that a key is absent, where ``None`` means that it is null."""

_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$:-]*\Z")


def format_path(path: JsonPath) -> str:
    """Write a path for people: ``Steps[2].Arguments.Environment['a.b']``; the root is ``the document``."""
    if not path:
        return "the document"
    parts: list[str] = []
    for part in path:
        if isinstance(part, int):
            parts.append(f"[{part}]")
        elif _PLAIN_KEY.match(part):
            parts.append(f".{part}" if parts else part)
        else:
            parts.append(f"[{part!r}]")
    return "".join(parts)


def describe_kind(value: JsonValue) -> str:
    """Name the kind of a JSON value, with its text if it is short: ``the string 'abc'``, ``an array``."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {value!r}" if len(value) <= 60 else f"the string {value[:57] + '...'!r}"
    return "an array" if isinstance(value, list) else "an object"


def copy_json(value: JsonValue) -> JsonValue:
    """Make a deep copy of a JSON value."""
    if isinstance(value, dict):
        return {key: copy_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copy_json(item) for item in value]
    return value


def copy_object(value: JsonObject) -> JsonObject:
    """Make a deep copy of a JSON object."""
    return cast("JsonObject", copy_json(value))


def put_value(root: JsonObject, path: JsonPath, value: JsonValue) -> None:
    """Set the value at a path of ``root``. Objects on the way that are absent or null are made.

    :param path: not empty; its indexes are those of entries that are there.
    """
    here: JsonValue = root
    for key in path[:-1]:
        if isinstance(here, list) and isinstance(key, int):
            here = here[key]
        else:
            holder = cast("JsonObject", here)
            if holder.get(str(key)) is None:
                holder[str(key)] = {}
            here = holder[str(key)]
    if isinstance(here, list) and isinstance(path[-1], int):
        here[path[-1]] = value
    else:
        cast("JsonObject", here)[str(path[-1])] = value


def is_same_json(left: JsonValue, right: JsonValue) -> bool:
    """Whether two values are the same JSON.

    ``true`` and ``1`` differ here, and so do ``1`` and ``1.0``, unlike with Python's ``==``. The order of an object's
    keys does not count.
    """
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(is_same_json(item, right[key]) for key, item in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(is_same_json, left, right))
    return type(left) is type(right) and left == right


def iter_values(value: JsonValue) -> Iterator[tuple[JsonPath, JsonValue]]:
    """Find every value inside ``value`` and itself, with its path, outer before inner, in document order."""
    stack: list[tuple[JsonPath, JsonValue]] = [((), value)]
    while stack:
        path, item = stack.pop()
        yield path, item
        if isinstance(item, dict):
            stack.extend([((*path, key), inner) for key, inner in item.items()][::-1])
        elif isinstance(item, list):
            stack.extend([((*path, index), inner) for index, inner in enumerate(item)][::-1])
