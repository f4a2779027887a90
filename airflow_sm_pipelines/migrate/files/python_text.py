"""Python source for values and calls, laid out as a formatter would leave it: one line where it fits, else one entry a
line."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 120
INDENT = "    "


@dataclass(frozen=True, slots=True)
class Code:
    """An expression that stands in the source as it is."""

    text: str


Value: TypeAlias = "bool | int | float | str | Code | list[Value] | dict[str, Value] | None"


def render_value(value: Value, *, depth: int = 0, before: int = 0) -> str:
    """The source of a value.

    :param depth: of the line it begins on, in indents.
    :param before: characters that stand before it on that line, after the indent, and behind it.
    """
    flat = _flat(value)
    if len(INDENT) * depth + before + len(flat) <= WIDTH or not isinstance(value, (list, dict)) or not value:
        return flat
    inner = INDENT * (depth + 1)
    if isinstance(value, list):
        lines = [f"{inner}{render_value(item, depth=depth + 1, before=1)},\n" for item in value]
        return "[\n" + "".join(lines) + INDENT * depth + "]"
    lines = []
    for key, item in value.items():
        start = f"{quote(key)}: "
        lines.append(f"{inner}{start}{render_value(item, depth=depth + 1, before=len(start) + 1)},\n")
    return "{\n" + "".join(lines) + INDENT * depth + "}"


def render_call(function: str, arguments: Sequence[tuple[str, Value]], *, depth: int, before: int = 0) -> str:
    """The source of a call with keyword arguments; an argument without name stands by position.

    :param before: as for :func:`render_value`.
    """
    flat = f"{function}({', '.join(_argument(name, _flat(value)) for name, value in arguments)})"
    if len(INDENT) * depth + before + len(flat) <= WIDTH or not arguments:
        return flat
    inner = INDENT * (depth + 1)
    lines = [
        f"{inner}{_argument(name, render_value(value, depth=depth + 1, before=len(name) + 2))},\n"
        for name, value in arguments
    ]
    return f"{function}(\n" + "".join(lines) + INDENT * depth + ")"


def _argument(name: str, source: str) -> str:
    return f"{name}={source}" if name else source


def _flat(value: Value) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_flat, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    return repr(value)


def quote(text: str) -> str:
    """The text as a Python string, in double quotes where that needs no more escapes."""
    escaped = json.dumps(text, ensure_ascii=False)
    if '"' in text and "'" not in text:
        return "'" + escaped[1:-1].replace('\\"', '"') + "'"
    return escaped


class Variables:
    """Python names for tasks, none given twice."""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self._taken = {*taken, *dir(builtins)}

    def claim(self, wanted: str) -> str:
        """A name near to ``wanted``, in lower case with underscores."""
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", wanted)
        base = re.sub(r"\W+", "_", words).strip("_").lower() or "task"
        if base[0].isdigit() or keyword.iskeyword(base):
            base = f"task_{base}"
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base}_{number}"
        self._taken.add(name)
        return name
