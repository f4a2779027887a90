"""The one writer of source text: Python for values and calls, and the Jinja that Airflow renders in them.

Text from a source (a name, an address, an environment variable) reaches a file only through this module, so that it
stays text: Python sees a string constant, and Jinja renders it to itself. Lines are laid out as a formatter leaves
them: a value stands on one line if it fits, otherwise one entry stands on each line.
"""

from __future__ import annotations

import keyword
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonValue

WIDTH = 120
INDENT = "    "

_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_TEMPLATE_MARK = re.compile(r"\{[{%#]|\{\Z|[\r\n]\Z|\r")


@dataclass(frozen=True, slots=True)
class Code:
    """An expression that stands in the source as it is. Make one only of text that this package wrote."""

    text: str


Value: TypeAlias = "bool | int | float | str | Code | list[Value] | dict[str, Value] | None"


# --- Python ----------------------------------------------------------------------------------------------------------


def quote_python(text: str) -> str:
    """The text as a Python string constant, in double quotes unless single ones need fewer escapes.

    Every character that cannot be seen is escaped: line separators, direction marks, lone surrogates.
    """
    mark = "'" if '"' in text and "'" not in text else '"'
    return f"{mark}{_escape(text, mark)}{mark}"


def render_docstring(text: str) -> str:
    """The text as a docstring, in triple quotes; its line ends stay line ends."""
    lines = [_escape(line, '"') for line in text.replace("\r\n", "\n").split("\n")]
    return f'"""{chr(10).join(lines)}"""'


def render_value(value: Value, *, depth: int = 0, before: int = 0) -> str:
    """The source of a value.

    :param depth: the indents of the line on which the value begins.
    :param before: how many characters of that line, without the indent, stand before and behind the value.
    """
    flat = _render_flat(value)
    if len(INDENT) * depth + before + len(flat) <= WIDTH or not isinstance(value, (list, dict)) or not value:
        return flat
    inner = INDENT * (depth + 1)
    if isinstance(value, list):
        lines = [f"{inner}{render_value(item, depth=depth + 1, before=1)},\n" for item in value]
        return "[\n" + "".join(lines) + INDENT * depth + "]"
    lines = []
    for key, item in value.items():
        start = f"{quote_python(key)}: "
        lines.append(f"{inner}{start}{render_value(item, depth=depth + 1, before=len(start) + 1)},\n")
    return "{\n" + "".join(lines) + INDENT * depth + "}"


def render_call(function: str, arguments: Sequence[tuple[str, Value]], *, depth: int, before: int = 0) -> str:
    """The source of a call with keyword arguments.

    :param arguments: names and values. A value with an empty name stands by position; a name that Python does not
        take as a keyword is passed in a dict.
    :param depth: as for :func:`render_value`, also ``before``.
    """
    flat = f"{function}({', '.join(_render_argument(name, _render_flat(value)) for name, value in arguments)})"
    if len(INDENT) * depth + before + len(flat) <= WIDTH or not arguments:
        return flat
    inner = INDENT * (depth + 1)
    lines = [
        f"{inner}{_render_argument(name, render_value(value, depth=depth + 1, before=len(name) + 2))},\n"
        for name, value in arguments
    ]
    return f"{function}(\n" + "".join(lines) + INDENT * depth + ")"


def render_import(path: str) -> tuple[str, str]:
    """The line that imports a class, and the class's name.

    :param path: ``airflow.providers.amazon.aws.operators.glue.GlueJobOperator``.
    :raises MigrationError: the path is not one of Python names with dots between them.
    """
    module, _, name = path.rpartition(".")
    if not module or not all(_is_name(part) for part in path.split(".")):
        raise MigrationError(f"{path!r} is not the import path of an operator, such as 'airflow.sdk.BaseOperator'.")
    return f"from {module} import {name}", name


def _render_argument(name: str, source: str) -> str:
    if not name:
        return source
    return f"{name}={source}" if _is_name(name) else f"**{{{quote_python(name)}: {source}}}"


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)


def _render_flat(value: Value) -> str:
    if isinstance(value, Code):
        return value.text
    if isinstance(value, str):
        return quote_python(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_render_flat, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quote_python(key)}: {_render_flat(item)}" for key, item in value.items()) + "}"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    return repr(value)


# --- Jinja -----------------------------------------------------------------------------------------------------------


def quote_jinja(text: str) -> str:
    """The text as a string constant inside a Jinja expression."""
    return f"'{_escape(text, chr(39))}'"


def escape_template(text: str) -> str:
    """Text that Jinja renders to ``text``: itself, or a Jinja string constant if Jinja would change something in it."""
    return f"{{{{ {quote_jinja(text)} }}}}" if _TEMPLATE_MARK.search(text) else text


def escape_templates(value: JsonValue) -> Value:
    """A value with every string in it escaped as :func:`escape_template` does; Airflow does not render keys."""
    if isinstance(value, dict):
        return {key: escape_templates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [escape_templates(item) for item in value]
    return escape_template(value) if isinstance(value, str) else cast("Value", value)


def _escape(text: str, mark: str) -> str:
    """The text between two quotation marks, as Python and Jinja both read it."""
    return "".join(_escape_character(one, mark) for one in text)


def _escape_character(character: str, mark: str) -> str:
    if character == mark:
        return f"\\{mark}"
    known = _ESCAPES.get(character)
    if known is not None or character.isprintable():
        return known or character
    number = ord(character)
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
