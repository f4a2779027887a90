"""Why CreatePipeline refuses the arguments of steps, in the service's words where these are published.

On record (aws/sagemaker-python-sdk): unknown members (issue 4994, pull request 3472), references where a list belongs
(2345), texts where an object belongs (3908), values outside of a closed list, lists that are too long (2554), texts
that are (314), numbers for text (2631, 4867). The rest follows from the API model and has our words. *Chosen:* patterns
and the shortest length of texts are left to the job's Create call, since definitions with masked values are published
as created.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.service_model import FaultKind

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.service_model import Fault

UNREADABLE = "Unable to parse pipeline definition."
"""How the service begins most of its refusals of a definition."""

_JSON_STARTS = {"list": "Array", "map": "Object", "structure": "Object"}
_TYPE_NAMES = {"string": "String", "integer": "Integer", "long": "Long", "boolean": "Boolean", "timestamp": "Timestamp"}
_UNITS = {"string": "characters", "list": "entries", "map": "entries"}


def describe_refusal(fault: Fault) -> str | None:
    """Word a fault in a step's arguments as CreatePipeline refuses it, as a sentence; None if it takes it."""
    describe = _WORDS.get(fault.kind)
    if describe is None or _is_left_to_the_job(fault):
        return None
    return describe(fault)


def _is_left_to_the_job(fault: Fault) -> bool:
    return fault.kind is FaultKind.BELOW_MINIMUM and fault.shape.type_name == "string"


def _unknown_member(fault: Fault) -> str:
    return f"{UNREADABLE} Unknown Argument member '{fault.path[-1]}'."


def _wrong_type(fault: Fault) -> str:
    start = _JSON_STARTS.get(fault.shape.type_name)
    if start is not None:
        return f"{UNREADABLE} Expecting start of Json {start}."
    kind = _TYPE_NAMES.get(fault.shape.type_name, "Number")
    return f"{UNREADABLE} Expecting a value of type [{kind}]."


def _number_for_text(fault: Fault) -> str:
    return f"Cannot assign property reference [{fault.value.get('Get')}] to argument of type [String]."


def _unknown_value(fault: Fault) -> str:
    return (
        f"{UNREADABLE} Model Validation failed: Value '{fault.value:.100}' for '{fault.shape.name}' failed to satisfy"
        f" enum value set: [{', '.join(fault.shape.enum)}]"
    )


def _missing_member(fault: Fault) -> str:
    return f"{UNREADABLE} Model Validation failed: Missing required member '{fault.path[-1]}' of '{fault.shape.name}'."


def _size(fault: Fault) -> str:
    is_low = fault.kind is FaultKind.BELOW_MINIMUM
    if fault.shape.type_name == "string":
        said = (
            f"string '{fault.value:.200}' with length={len(fault.value)} cannot be greater than {fault.shape.maximum}"
        )
        return f"{UNREADABLE} Model Validation failed: {said}."
    limit = f"at least {fault.shape.minimum}" if is_low else f"at most {fault.shape.maximum}"
    unit = _UNITS.get(fault.shape.type_name)
    found = f"has {len(fault.value)} {unit}" if unit else f"is {fault.value}"
    return f"{UNREADABLE} Model Validation failed: '{fault.shape.name}' {found}; {limit} is allowed."


def _other(fault: Fault) -> str:
    return f"{UNREADABLE} Model Validation failed: '{fault.shape.name}' cannot take this value ({fault.kind.value})."


_WORDS: dict[FaultKind, Callable[[Fault], str]] = {
    FaultKind.UNKNOWN_MEMBER: _unknown_member,
    FaultKind.WRONG_TYPE: _wrong_type,
    FaultKind.EXPRESSION_FOR_MANY: _wrong_type,
    FaultKind.NUMBER_FOR_TEXT: _number_for_text,
    FaultKind.UNKNOWN_VALUE: _unknown_value,
    FaultKind.MISSING_MEMBER: _missing_member,
    FaultKind.BELOW_MINIMUM: _size,
    FaultKind.ABOVE_MAXIMUM: _size,
    FaultKind.OUTSIDE_TYPE: _other,
    FaultKind.NOT_FINITE: _other,
    FaultKind.HALF_CHARACTER: _other,
    FaultKind.TOO_DEEP: _other,
    FaultKind.NULL_ENTRY: _other,
    FaultKind.NOT_ONE_MEMBER: _other,
}
