"""A judge of requests that shares nothing with the package: botocore's own validator, and what that leaves out, slowly.

botocore checks types, required and unknown members, unions and most minimums. The rest is here: maximums, the minimums
of maps, patterns, lists of values, and numbers and characters that JSON knows and the API does not.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.validate import ParamValidator

from tests.service_model.java_pattern import matches

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = botocore.session.Session().get_service_model("sagemaker")


def is_wrong(operation: str, request: dict[str, Any]) -> bool:
    """Whether the API refuses a request."""
    shape = MODEL.operation_model(operation).input_shape
    given = _without_nulls(request, shape)
    return ParamValidator().validate(given, shape).has_errors() or any(_iter_faults(given, shape))


def _without_nulls(value: Any, shape: Any) -> Any:
    """The value without members that are null, which are absent ones; an unknown member stays."""
    if isinstance(value, dict) and shape.type_name == "structure":
        known = shape.members
        return {
            key: _without_nulls(item, known[key]) if key in known else item
            for key, item in value.items()
            if item is not None or key not in known
        }
    if isinstance(value, dict) and shape.type_name == "map":
        return {key: _without_nulls(item, shape.value) for key, item in value.items() if item is not None}
    if isinstance(value, list) and shape.type_name == "list":
        return [_without_nulls(item, shape.member) for item in value]
    return value


def _iter_faults(value: Any, shape: Any) -> Iterator[str]:
    limits, kind = shape.metadata, shape.type_name
    if kind == "structure" and isinstance(value, dict):
        for name, item in value.items():
            if name in shape.members:
                yield from _iter_faults(item, shape.members[name])
    elif kind == "list" and isinstance(value, list):
        yield from _iter_above(len(value), limits)
        for item in value:
            yield from _iter_faults(item, shape.member)
    elif kind == "map" and isinstance(value, dict):
        if len(value) < limits.get("min", 0):
            yield "minimum"
        yield from _iter_above(len(value), limits)
        for key, item in value.items():
            yield from _iter_faults(key, shape.key)
            yield from _iter_faults(item, shape.value)
    elif kind == "string" and isinstance(value, str):
        yield from _iter_text_faults(value, shape)
    elif kind in ("integer", "long", "float", "double"):
        yield from _iter_number_faults(value, kind, limits)


def _iter_text_faults(text: str, shape: Any) -> Iterator[str]:
    try:
        text.encode()
    except UnicodeEncodeError:
        yield "half a character"
        return
    yield from _iter_above(len(text), shape.metadata)
    is_open = len(shape.enum) > 20 or shape.name.endswith("InstanceType")
    may_be_new = is_open and len(text) in range(1, 129) and all(matches("[A-Za-z0-9._-]", letter) for letter in text)
    if shape.enum and text not in shape.enum and not may_be_new:
        yield "not in the list"
    pattern = shape.metadata.get("pattern")
    if pattern and not matches(pattern, text):
        yield "pattern"


def _iter_number_faults(value: Any, kind: str, limits: Any) -> Iterator[str]:
    if isinstance(value, bool):  # Python's own kind of whole number, so botocore lets it pass
        yield "true or false"
        return
    yield from _iter_above(value, limits)
    if kind in ("integer", "long"):
        bits = 31 if kind == "integer" else 63
        if not -(2**bits) <= value <= 2**bits - 1:
            yield "bits"
    elif abs(value) > 1.7976931348623157e308 or math.isnan(value):
        yield "not finite"


def _iter_above(size: float, limits: Any) -> Iterator[str]:
    if "max" in limits and size > limits["max"]:
        yield "maximum"
