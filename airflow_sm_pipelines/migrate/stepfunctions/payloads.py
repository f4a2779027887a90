"""Payload templates, reference paths, intrinsic functions and simple JSONata, worked out on a machine's document.

Source: the pages on input and output processing, intrinsic functions and JSONata of the Step Functions guide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.migrate.stepfunctions.document_values import (
    ABSENT,
    TASK_TOKEN,
    Call,
    Path,
    Ref,
    UnsupportedError,
    Value,
    is_literal,
    join_values,
    select,
)
from airflow_sm_pipelines.migrate.stepfunctions.jsonata_reads import find_reads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue

_PART = re.compile(r"""\.([A-Za-z_\u0080-\uffff][\w\u0080-\uffff-]*)|\.?\[\s*(?:'([^']*)'|"([^"]*)"|(-?\d+))\s*\]""")
_JSONATA = re.compile(r"\s*\{%(.*)%\}\s*\Z", re.DOTALL)
_JSONATA_PATH = re.compile(r"""\$?[A-Za-z_]\w*((\.(\w+|`[^`]*`|"[^"]*"))|\[\d+\])*\Z""")


@dataclass(frozen=True, slots=True)
class Scope:
    """What a state can read.

    :param document: its input.
    :param machine_input: the input of the whole run, ``$$.Execution.Input``.
    :param names: the machine's and the state's name.
    :param variables: assigned so far.
    :param result: of the state's own work, for ``$states.result``; None before it.
    :param item: of a Map, for ``$$.Map.Item``; None outside.
    :param error: that a catcher has caught, for ``$states.errorOutput``.
    :param resolve: makes a value of a text of the source, which may have placeholders.
    """

    document: Value
    machine_input: Value
    names: tuple[str, str]
    resolve: Callable[[str], Value]
    variables: Mapping[str, Value] = field(default_factory=dict)
    result: Value = ABSENT
    item: Value = ABSENT
    error: Value = ABSENT


def parse_path(text: str) -> Path:
    """The members of a reference path behind its ``$``.

    :raises UnsupportedError: it is none, such as a filter or a wildcard, which may give several values.
    """
    position, parts = 0, list[str | int]()
    while position < len(text):
        match = _PART.match(text, position)
        if match is None:
            rest = text[position:]
            raise UnsupportedError(f"{rest!r} is no reference path: filters, slices and wildcards are not carried.")
        parts.append(int(match[4]) if match[4] else next(one for one in match.groups()[:3] if one is not None))
        position = match.end()
    return tuple(parts)


def read_path(text: str, scope: Scope) -> Value:
    """The value at a path: ``$.a``, ``$$.Execution.Name``, ``$variable.a``."""
    if text.startswith("$$"):
        return _read_context(parse_path(text[2:]), scope)
    variable = re.match(r"\$([A-Za-z_]\w*)", text)
    if variable is not None:
        return _select_all(scope.variables.get(variable[1], ABSENT), text[variable.end() :])
    if not text.startswith("$"):
        raise UnsupportedError(f"{text!r} is no path; one begins with '$'.")
    return _select_all(scope.document, text[1:])


def _select_all(value: Value, text: str) -> Value:
    """The part of a value at a path, or what a path with filters, slices and wildcards finds, as a list.

    :raises UnsupportedError: it is no path.
    """
    found = re.search(r"\.\.|\[\s*\?|\*|\[[\d\s,:-]*[,:]", text)
    if found is None:
        return select(value, parse_path(text))
    start = max(0, text.rfind("[", 0, found.end())) if text[found.start()] == "*" else found.start()
    try:
        base = select(value, parse_path(text[:start]))
    except UnsupportedError:
        base, start = value, 0
    _check_query(f"${text[start:]}")
    return Call("Query", (base, f"${text[start:]}"))


def _check_query(path: str) -> None:
    try:
        from jsonpath_ng.exceptions import JSONPathError
        from jsonpath_ng.ext.parser import parse
    except ImportError:
        raise UnsupportedError(
            f"{path!r} finds several values, and the package jsonpath-ng is not installed."
        ) from None
    try:
        parse(path)
    except (JSONPathError, AttributeError):
        raise UnsupportedError(f"{path!r} is no path that jsonpath-ng reads.") from None


def _read_context(path: Path, scope: Scope) -> Value:
    known: dict[str, Value] = {
        "Execution": {
            "Id": Ref("Execution.PipelineExecutionId"),
            "Name": Ref("Execution.PipelineExecutionId"),
            "StartTime": Ref("Execution.StartDateTime"),
            "Input": scope.machine_input,
        },
        "State": {"Name": scope.names[1], "EnteredTime": Ref("Execution.CurrentDateTime"), "RetryCount": 0},
        "StateMachine": {"Name": scope.names[0], "Id": scope.names[0]},
        "Map": {"Item": {"Value": scope.item}},
        "Task": {"Token": Ref(TASK_TOKEN)},
    }
    found = select(known, path)
    if found is ABSENT:
        raise UnsupportedError(f"The context object's {'.'.join(map(str, path))} has no counterpart in a DAG.")
    return found


def fill_template(template: JsonValue, scope: Scope, *, is_jsonata: bool) -> Value:
    """The value that a payload template gives."""
    if isinstance(template, dict):
        filled: dict[str, Value] = {}
        for key, item in template.items():
            if key.endswith(".$") and not is_jsonata:
                filled[key[:-2]] = read_expression(str(item), scope)
            else:
                filled[key] = fill_template(item, scope, is_jsonata=is_jsonata)
        return filled
    if isinstance(template, list):
        return [fill_template(item, scope, is_jsonata=is_jsonata) for item in template]
    if isinstance(template, str):
        expression = _JSONATA.match(template) if is_jsonata else None
        return scope.resolve(template) if expression is None else read_jsonata(expression[1].strip(), scope)
    return template


def read_expression(text: str, scope: Scope) -> Value:
    """The value of a path or of an intrinsic function."""
    return _Intrinsics(text, scope).read() if text.startswith("States.") else read_path(text, scope)


def batch_items(body: JsonObject, items: Value, scope: Scope, *, is_jsonata: bool) -> Value:
    """The items of a Map as its ItemBatcher puts them together; the items themselves if it has none.

    :raises UnsupportedError: the batches are limited in a way that is not carried.
    """
    batcher = body.get("ItemBatcher")
    if not isinstance(batcher, dict):
        return items
    size = batcher.get("MaxItemsPerBatch")
    if not isinstance(size, int) or not batcher.keys() <= {"MaxItemsPerBatch", "BatchInput"}:
        raise UnsupportedError("Its batches are limited otherwise than by a number, MaxItemsPerBatch.")
    if "ItemSelector" in body or "Parameters" in body:
        raise UnsupportedError("An ItemSelector makes the items that its ItemBatcher puts together.")
    given: dict[str, Value] = {"items": items, "size": size}
    members = "'Items': $batch"
    if "BatchInput" in batcher:
        given["input"] = fill_template(batcher["BatchInput"], scope, is_jsonata=is_jsonata)
        members = f"'BatchInput': $input, {members}"
    expression = f"[$map([$partition($items, $size)], function($batch) {{ {{{members}}} }})]"
    find_reads(expression)  # which says whether the package is there
    return Call("Jsonata", (expression, given))


# --- JSONata ---------------------------------------------------------------------------------------------------------


def read_jsonata(text: str, scope: Scope) -> Value:
    """The value of a JSONata expression. What is no path or text is worked out when the DAG runs.

    :raises UnsupportedError: it is none, or reads what no DAG has.
    """
    try:
        return read_simple_jsonata(text, scope)
    except OtherExpressionError:
        return call_jsonata(text, scope)


class OtherExpressionError(Exception):
    """The expression is more than paths and text, and the DAG works it out."""


def call_jsonata(text: str, scope: Scope) -> Value:
    """An expression that the DAG works out, with what it reads.

    :raises UnsupportedError: it is none, or reads what no DAG has.
    """
    if scope.resolve(text) != text:
        raise UnsupportedError(f"The JSONata expression {text!r} has a placeholder in it; give its value.")
    given: dict[str, Value] = {}
    for path in find_reads(text):
        if path in (("states",), ("states", "context")):
            raise UnsupportedError(f"The JSONata expression {text!r} reads all that a state knows.")
        value = _select_variable(path, scope)
        if value is not ABSENT:
            given[".".join(path)] = value
    return Call("Jsonata", (text, given))


def _select_variable(path: Path, scope: Scope) -> Value:
    """The part of a variable, or of ``$states``, at a path that begins with its name."""
    head, rest = str(path[0]), path[1:]
    if head != "states":
        return select(scope.variables.get(head, ABSENT), rest)
    if rest[:1] == ("context",):
        return _read_context(rest[1:], scope)
    roots: dict[str, Value] = {"input": scope.document, "result": scope.result, "errorOutput": scope.error}
    return select(roots, rest)


def read_simple_jsonata(text: str, scope: Scope) -> Value:
    """The value of a path, a literal, ``$uuid()``, or several of these joined with ``&``.

    :raises OtherExpressionError: the expression is another one.
    :raises UnsupportedError: it reads what no DAG has.
    """
    parts = _split_outside_quotes(text, "&")
    if len(parts) > 1:
        return join_values([read_simple_jsonata(part.strip(), scope) for part in parts])
    if re.fullmatch(r"""'[^'\\]*'|"[^"\\]*\"""", text):
        return scope.resolve(text[1:-1])
    if text in ("true", "false", "null") or re.fullmatch(r"-?\d+(\.\d+)?", text):
        literal: Value = json.loads(text)
        return literal
    if text == "$uuid()":
        return Call("Uuid", ())
    if not _JSONATA_PATH.match(text) or not text.startswith("$"):
        raise OtherExpressionError
    head, rest = re.match(r"\$(\w+)(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    return _select_variable((head, *parse_path(re.sub(r"\.[`\"]([^`\"]*)[`\"]", r"['\1']", rest))), scope)


def _split_outside_quotes(text: str, mark: str) -> list[str]:
    parts, quote = [""], ""
    for character in text:
        quote = "" if character == quote else quote or (character if character in "'\"`" else "")
        if character == mark and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


# --- intrinsic functions ---------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s*(?:(States\.\w+)\s*\(|('(?:[^'\\]|\\.)*')|(-?\d+(?:\.\d+)?)|(true|false|null)\b|(\$[^,()]*))", re.DOTALL
)


class _Intrinsics:
    """Reads one intrinsic function with those inside it."""

    def __init__(self, text: str, scope: Scope) -> None:
        self._text = text
        self._scope = scope
        self._position = 0

    def read(self) -> Value:
        value = self._read_value(0)
        if self._text[self._position :].strip():
            raise self._fault()
        return value

    def _fault(self) -> UnsupportedError:
        return UnsupportedError(f"{self._text!r} cannot be read from its character {self._position + 1} on.")

    def _read_value(self, depth: int) -> Value:
        match = _TOKEN.match(self._text, self._position)
        if match is None or depth > 20:
            raise self._fault()
        self._position = match.end()
        function, quoted, number, word, path = match.groups()
        if function:
            return _apply(function.removeprefix("States."), self._read_arguments(depth), self._scope)
        if quoted is not None:
            return re.sub(r"\\(.)", r"\1", quoted[1:-1])
        if path is not None:
            return read_path(path.rstrip(), self._scope)
        literal: Value = json.loads(number or word)
        return literal

    def _read_arguments(self, depth: int) -> list[Value]:
        arguments: list[Value] = []
        while True:
            rest = self._text[self._position :].lstrip()
            if rest.startswith(")"):
                self._position = self._text.index(")", self._position) + 1
                return arguments
            if arguments:
                if not rest.startswith(","):
                    raise self._fault()
                self._position = self._text.index(",", self._position) + 1
            arguments.append(self._read_value(depth + 1))


_PLAIN = {
    "ArrayContains": ("ArrayContains", 2),
    "ArrayGetItem": ("ArrayGetItem", 2),
    "ArrayLength": ("ArrayLength", 1),
    "ArrayRange": ("Range", 3),
    "ArrayUnique": ("Unique", 1),
    "JsonToString": ("Json", 1),
    "StringToJson": ("ParseJson", 1),
    "StringSplit": ("Split", 2),
    "MathAdd": ("Add", 2),
    "UUID": ("Uuid", 0),
}
"""Intrinsic functions that the workflow model has: their names there, and how many arguments they take."""


_BY_JSONATA = {
    "ArrayPartition": ("[$partition($list, $size)]", ("list", "size")),
    "Base64Decode": ("$base64decode($text)", ("text",)),
    "Base64Encode": ("$base64encode($text)", ("text",)),
    "Hash": ("$hash($text, $algorithm)", ("text", "algorithm")),
    "MathRandom": ("$floor($random() * ($end - $start)) + $start", ("start", "end")),
}
"""Intrinsic functions that JSONata has: the expression, and the variables in it that the arguments are given to."""


def _apply(name: str, arguments: list[Value], scope: Scope) -> Value:
    if name == "Format" and arguments and isinstance(arguments[0], str):
        return _format(arguments[0], arguments[1:], scope)
    if name == "Array":
        return arguments
    if name == "JsonMerge" and len(arguments) == 3 and arguments[2] is False:
        return Call("Merge", (arguments[0], arguments[1]))
    if name == "ArrayGetItem" and len(arguments) == 2 and isinstance(arguments[1], int):
        return select(arguments[0], (arguments[1],))
    if name == "JsonToString" and len(arguments) == 1 and is_literal(arguments[0]):
        return json.dumps(arguments[0], separators=(",", ":"))
    if name in _PLAIN and len(arguments) == _PLAIN[name][1]:
        return Call(_PLAIN[name][0], tuple(arguments))
    if name in _BY_JSONATA and len(arguments) == len(_BY_JSONATA[name][1]):
        expression, names = _BY_JSONATA[name]
        find_reads(expression)  # which says whether the package is there
        return Call("Jsonata", (expression, dict(zip(names, arguments, strict=True))))
    raise UnsupportedError(f"The intrinsic function States.{name} with these arguments is not carried.")


def _format(template: str, arguments: list[Value], scope: Scope) -> Value:
    pieces = template.split("{}")
    if len(pieces) != len(arguments) + 1:
        raise UnsupportedError(f"States.Format has {len(arguments)} values for {len(pieces) - 1} places.")
    parts: list[Value] = [scope.resolve(pieces[0])]
    for argument, piece in zip(arguments, pieces[1:], strict=True):
        parts += [argument, scope.resolve(piece)]
    return join_values(parts)
