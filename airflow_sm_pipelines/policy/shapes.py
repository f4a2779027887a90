"""A JSON value against a botocore shape, where expressions stand for values that are not known yet.

botocore's own validator checks types and required members only, and knows no expressions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.expressions import FUNCTIONS
from airflow_sm_pipelines.definition.json_value import describe_kind
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.policy.findings import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonPath, JsonValue

_MAX_PATTERN_LENGTH = 2048
"""Longer texts are not matched: a pattern may take exponential time to fail."""

_TEXT, _TRUTH, _WHOLE, _NUMBER = "a string", "true or false", "a whole number", "a number"
_NUMBERS = {_WHOLE: re.compile(r"-?\d+"), _NUMBER: re.compile(r"-?\d+(\.\d+)?")}

_MAX_CLOSED_ENUM = 20
"""Longer enumerations (instance types, regions) grow faster than anyone's botocore."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One way in which a value does not fit its shape."""

    place: JsonPath
    severity: Severity
    message: str
    fix: str = ""


@lru_cache(maxsize=1)
def load_service_model() -> Any:
    """botocore's model of the SageMaker API, read once per process; needs neither credentials nor a region."""
    from botocore.loaders import create_loader
    from botocore.model import ServiceModel

    return ServiceModel(create_loader().load_service_model("sagemaker", "service-2"), "sagemaker")


def compare_with_shape(value: JsonValue, shape: Any, *, without: frozenset[str] = frozenset()) -> Iterator[Mismatch]:
    """Every mismatch of a value that is a structure.

    :param without: required members that SageMaker adds itself.
    """
    yield from _compare(value, shape, (), without)


def compare_text(value: str, shape: Any, place: JsonPath) -> Iterator[Mismatch]:
    """Every mismatch of a string: length, pattern, enumeration."""
    yield from _compare_text(value, shape, place)


def _compare(value: JsonValue, shape: Any, place: JsonPath, without: frozenset[str]) -> Iterator[Mismatch]:
    # A null is what the SDKs write for "not given"; an expression may become anything.
    if value is None or is_expression(value):
        return
    kind = shape.type_name
    if kind == "structure":
        yield from _compare_structure(value, shape, place, without)
    elif kind == "list":
        yield from _compare_list(value, shape, place)
    elif kind == "map":
        yield from _compare_map(value, shape, place)
    elif kind == "string":
        if isinstance(value, str):
            yield from _compare_text(value, shape, place)
        else:
            yield _wrong_kind(value, _TEXT, place)
    elif kind == "boolean":
        if not isinstance(value, bool):
            yield _wrong_kind(value, _TRUTH, place)
    elif kind in ("integer", "long", "float", "double"):
        yield from _compare_number(value, shape, place, is_whole=kind in ("integer", "long"))


def is_expression(value: JsonValue) -> bool:
    """Whether a value of a valid definition is worked out when the step runs."""
    return isinstance(value, dict) and len(value) == 1 and next(iter(value)) in ("Get", *FUNCTIONS)


def _compare_structure(value: JsonValue, shape: Any, place: JsonPath, without: frozenset[str]) -> Iterator[Mismatch]:
    if not isinstance(value, dict):
        yield _wrong_kind(value, "an object", place)
        return
    for name in shape.required_members:
        if name not in without and value.get(name) is None:
            near = "" if name in value else suggest(name, value.keys() - shape.members.keys())
            yield Mismatch(place, Severity.ERROR, f"{name!r} is missing.{near}")
    for key, item in value.items():
        member = shape.members.get(key)
        if member is None:
            yield Mismatch(
                (*place, key),
                Severity.WARNING,
                f"{shape.name} has no member {key!r} that this botocore knows.{suggest(key, shape.members)}",
                "Check the spelling, or update boto3.",
            )
        else:
            yield from _compare(item, member, (*place, key), frozenset())


def _compare_list(value: JsonValue, shape: Any, place: JsonPath) -> Iterator[Mismatch]:
    if not isinstance(value, list):
        yield _wrong_kind(value, "an array", place)
        return
    yield from _compare_size(len(value), shape, place, "entries")
    for index, item in enumerate(value):
        yield from _compare(item, shape.member, (*place, index), frozenset())


def _compare_map(value: JsonValue, shape: Any, place: JsonPath) -> Iterator[Mismatch]:
    if not isinstance(value, dict):
        yield _wrong_kind(value, "an object", place)
        return
    yield from _compare_size(len(value), shape, place, "entries")
    for key, item in value.items():
        for mismatch in _compare_text(key, shape.key, (*place, key)):
            yield Mismatch(mismatch.place, mismatch.severity, f"the key {key!r}: {mismatch.message}", mismatch.fix)
        yield from _compare(item, shape.value, (*place, key), frozenset())


def _compare_number(value: JsonValue, shape: Any, place: JsonPath, *, is_whole: bool) -> Iterator[Mismatch]:
    expected = _WHOLE if is_whole else _NUMBER
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        yield _wrong_kind(value, expected, place)
        return
    if is_whole and isinstance(value, float) and not value.is_integer():
        yield _wrong_kind(value, expected, place)
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and value < low:
        yield Mismatch(place, Severity.ERROR, f"{value} is too small: at least {low} is allowed.")
    if high is not None and value > high:
        yield Mismatch(place, Severity.ERROR, f"{value} is too large: at most {high} is allowed.")


def _compare_text(value: str, shape: Any, place: JsonPath) -> Iterator[Mismatch]:
    yield from _compare_size(len(value), shape, place, "characters")
    enum = shape.metadata.get("enum")
    if enum and value not in enum:
        severity = Severity.ERROR if len(enum) <= _MAX_CLOSED_ENUM else Severity.WARNING
        near = suggest(value, enum)
        allowed = f" Allowed are {list_names(enum, limit=_MAX_CLOSED_ENUM)}." if severity is Severity.ERROR else ""
        fix = near.strip() or ("" if severity is Severity.ERROR else "Check the spelling, or update boto3.")
        yield Mismatch(place, severity, f"{value!r} is not a {shape.name} that this botocore knows.{allowed}", fix)
    pattern = shape.metadata.get("pattern")
    if pattern and len(value) <= _MAX_PATTERN_LENGTH:
        expression = _compile(pattern)
        if expression is not None and not expression.fullmatch(value):
            yield Mismatch(place, Severity.ERROR, f"{value!r} does not match {pattern!r}.")


def _compare_size(size: int, shape: Any, place: JsonPath, unit: str) -> Iterator[Mismatch]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and size < low:
        yield Mismatch(place, Severity.ERROR, f"too short: {size} {unit}, at least {low} needed.")
    if high is not None and size > high:
        yield Mismatch(place, Severity.ERROR, f"too long: {size} {unit}, at most {high} allowed.")


def _wrong_kind(value: JsonValue, expected: str, place: JsonPath) -> Mismatch:
    # A scalar that reads as the wanted one (5 for "5") may be converted by the service; boto3 would refuse it.
    severity = Severity.WARNING if _reads_as(value, expected) else Severity.ERROR
    return Mismatch(place, severity, f"expected {expected}, found {describe_kind(value)}.")


def _reads_as(value: JsonValue, expected: str) -> bool:
    if expected == _TEXT:
        return isinstance(value, (bool, int, float))
    if not isinstance(value, str):
        return False
    if expected == _TRUTH:
        return value in ("true", "false")
    pattern = _NUMBERS.get(expected)
    return bool(pattern and pattern.fullmatch(value))


@lru_cache(maxsize=512)
def _compile(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:  # a few of the service's patterns are Java's own, such as \p{Alnum}
        return None
