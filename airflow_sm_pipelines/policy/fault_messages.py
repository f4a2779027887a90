"""Words for a value that does not fit the API, for a definition's author. The endpoint uses the service's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.json_value import describe_kind
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.service_model import FaultKind

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonPath
    from airflow_sm_pipelines.service_model import Fault

_TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "long": "a whole number",
    "float": "a number",
    "double": "a number",
    "boolean": "true or false",
    "timestamp": "a number of seconds",
    "structure": "an object",
    "list": "an array",
    "map": "an object",
}
_NUMBERS = frozenset({"integer", "long", "float", "double"})
_UNITS = {"string": "characters", "list": "entries", "map": "entries"}
_MAX_LISTED = 20
_MAX_QUOTED = 100
_FIXES = {
    FaultKind.EXPRESSION_FOR_MANY: "Put an expression in each place inside.",
    FaultKind.NUMBER_FOR_TEXT: "Give the parameter the type String, or use Std:Join (SDK: to_string()).",
}
_UPDATE = "Check the spelling, or update boto3."


def describe_fault(fault: Fault) -> tuple[JsonPath, str, str]:
    """Word a fault.

    :return: where to show it, what is wrong, and what to do; the last is empty where the message says it all.
    """
    if fault.kind is FaultKind.MISSING_MEMBER:
        return fault.path[:-1], _describe_missing(fault), ""
    message, fix = _describe(fault)
    return fault.path, f"the key {_quote(fault.value)}: {message}" if fault.is_key else message, fix


def _describe(fault: Fault) -> tuple[str, str]:
    shape, kind = fault.shape, fault.kind
    if kind is FaultKind.UNKNOWN_MEMBER:
        name = str(fault.path[-1])
        near = suggest(name, shape.members)
        return f"{shape.name} has no member {name!r} that is known here.{near}", _UPDATE
    if kind in (FaultKind.UNKNOWN_VALUE, FaultKind.UNLISTED_VALUE):
        return _describe_value(fault)
    if kind in (FaultKind.BELOW_MINIMUM, FaultKind.ABOVE_MAXIMUM):
        return _describe_size(fault), ""
    texts = {
        FaultKind.WRONG_PATTERN: f"{_quote(fault.value)} does not match {shape.spelled_pattern!r}.",
        FaultKind.EXPRESSION_FOR_MANY: f"expected {_TYPES[shape.type_name]}, found an expression, which stands for one"
        " value only.",
        FaultKind.NUMBER_FOR_TEXT: f"{_quote(fault.value)} gives a number or a boolean, but only text goes here.",
        FaultKind.NULL_ENTRY: "an array has no place for null.",
        FaultKind.NOT_ONE_MEMBER: f"exactly one of {list_names(shape.members)} must be given.",
        FaultKind.OUTSIDE_TYPE: f"{_quote(fault.value)} has too many digits for {shape.name}.",
        FaultKind.NOT_FINITE: "expected a number, found one that is not finite.",
        FaultKind.HALF_CHARACTER: "the text holds half of a surrogate pair (\\ud800 to \\udfff).",
        FaultKind.TOO_DEEP: "the value is nested too deeply.",
    }
    message = texts.get(kind) or f"expected {_TYPES[shape.type_name]}, found {describe_kind(fault.value)}."
    return message, _FIXES.get(kind, "")


def _describe_missing(fault: Fault) -> str:
    name = str(fault.path[-1])
    near = "" if name in fault.value else suggest(name, fault.value.keys() - fault.shape.members.keys())
    return f"{name!r} is missing.{near}"


def _describe_value(fault: Fault) -> tuple[str, str]:
    shape = fault.shape
    near = suggest(fault.value, shape.enum).strip()
    if fault.kind is FaultKind.UNLISTED_VALUE:
        return f"{_quote(fault.value)} is not a {shape.name} that is known here.", near or _UPDATE
    return (
        f"{_quote(fault.value)} is not a {shape.name}. Allowed are {list_names(shape.enum, limit=_MAX_LISTED)}.",
        near,
    )


def _describe_size(fault: Fault) -> str:
    shape, is_low = fault.shape, fault.kind is FaultKind.BELOW_MINIMUM
    if shape.type_name in _NUMBERS:
        limit = f"at least {shape.minimum}" if is_low else f"at most {shape.maximum}"
        return f"{fault.value} is too {'small' if is_low else 'large'}: {limit} is allowed."
    size = f"{len(fault.value)} {_UNITS[shape.type_name]}"
    if is_low:
        return f"too short: {size}, at least {shape.minimum} needed."
    return f"too long: {size}, at most {shape.maximum} allowed."


def _quote(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."
