"""SageMaker's JSON 1.1 protocol by the API's model: request bodies to values, answers to bodies, faults in its words.

Which operations exist here is the engine's business; how a value is judged is ``service_model``'s.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.service_model import (
    FaultKind,
    format_timestamp,
    judge_value,
    load_service_model,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.service_model import Fault, ServiceModel, Shape, ValuePath

_MAX_QUOTED = 300
"""A value is quoted in a message up to here; definitions run to a megabyte."""


class RequestRefusedError(Exception):
    """A request the service would not look at.

    :param code: ``SerializationException`` or ``ValidationException``.
    :param message: the service's text.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class InvalidAnswerError(Exception):
    """An answer that does not fit the operation's output shape: a fault of this package, never of the client."""


class SageMakerCodec:
    """Decodes and encodes SageMaker's operations. It loads the model when it first needs it."""

    @cached_property
    def _model(self) -> ServiceModel:
        return load_service_model()

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """Every operation of the service."""
        return self._model.operation_names

    def decode(self, operation: str, body: bytes) -> dict[str, Any]:
        """The request in a body.

        :param operation: an operation of the service.
        :param body: the HTTP body; an empty one is an empty request.
        :return: the members of the input shape that were given; timestamps are aware datetimes.
        :raises RequestRefusedError: when the body is not JSON, does not fit the input shape, or has members that do
            not go together.
        """
        try:
            document = json.loads(body.decode("utf-8")) if body.strip() else {}
        except (ValueError, RecursionError) as error:
            raise RequestRefusedError("SerializationException", f"The request body is not JSON: {error}") from error
        shape = self._model.get_operation(operation).input_shape
        if shape is None:
            return {}
        judgement = judge_value(document, shape)
        refusal = find_refusal(judgement.faults, shape)
        if refusal is not None:
            raise refusal
        from airflow_sm_pipelines.policy.member_rules import find_conflicts

        request: dict[str, Any] = judgement.value
        for conflict in find_conflicts(operation, request):
            raise RequestRefusedError("ValidationException", conflict.message)
        return request

    def find_violations(self, operation: str, request: Mapping[str, Any]) -> str | None:
        """What the service would say against a request that was made here, such as a step's resolved arguments.

        :param operation: an operation of the service.
        :param request: the request, in JSON values.
        :return: the service's text, or None when there is nothing to say.
        """
        from airflow_sm_pipelines.policy.member_rules import find_conflicts

        shape = self._model.get_request_shape(operation)
        refusal = find_refusal(judge_value(dict(request), shape).faults, shape)
        if refusal is not None:
            return refusal.message
        conflicts = [conflict for conflict in find_conflicts(operation, request) if conflict.holds_for_steps]
        return conflicts[0].message if conflicts else None

    def encode(self, operation: str, answer: Mapping[str, Any]) -> str:
        """The body of an answer.

        :param operation: an operation of the service.
        :param answer: the members of the output shape; None means absent.
        :return: JSON text.
        :raises InvalidAnswerError: when the answer does not fit the output shape.
        """
        shape = self._model.get_operation(operation).output_shape
        if shape is None:
            if answer:
                raise InvalidAnswerError(f"{operation} has no answer, but got members: {', '.join(answer)}")
            return "{}"
        judgement = judge_value(dict(answer), shape, convert_timestamp=format_timestamp)
        refusal = find_refusal(judgement.faults, shape)
        if refusal is not None:
            raise InvalidAnswerError(f"{operation}: {refusal.message}")
        return json.dumps(judgement.value)


def find_refusal(faults: Sequence[Fault], shape: Shape) -> RequestRefusedError | None:
    """What the service says of a request with these faults; None where it takes the request.

    The service reads a request before it judges it, so it names the first part that it cannot read and nothing else.

    :param faults: in the order of the walk.
    :param shape: of the whole request.
    """
    violations = []
    for fault in faults:
        if fault.kind.is_unreadable:
            return RequestRefusedError("SerializationException", _describe_unreadable(fault, shape))
        if fault.kind.is_wrong:
            violations.append(_describe_violation(fault, shape))
    if not violations:
        return None
    noun = "error" if len(violations) == 1 else "errors"
    text = f"{len(violations)} validation {noun} detected: {'; '.join(violations)}"
    return RequestRefusedError("ValidationException", text)


def _describe_unreadable(fault: Fault, shape: Shape) -> str:
    if fault.kind is FaultKind.UNKNOWN_MEMBER:
        place = _at(shape, fault.path[:-1])
        return f"Unexpected member '{fault.path[-1]}'{place}; expected one of: {', '.join(fault.shape.members)}"
    place = _at(shape, fault.path, is_key=fault.is_key)
    if fault.kind is FaultKind.HALF_CHARACTER:
        return f"The text{place} holds half of a surrogate pair, which is no character"
    if fault.kind is FaultKind.NOT_FINITE:
        return f"The value{place} is not a finite number"
    if fault.kind is FaultKind.TOO_DEEP:
        return "The value is nested too deeply"
    type_name = fault.shape.type_name.capitalize()
    if fault.kind is FaultKind.OUTSIDE_TYPE:
        return f"{fault.value}{place} is not in the range of {type_name}"
    return f"{_quote(fault.value)!r} ({type(fault.value).__name__}){place} can not be converted to {type_name}"


def _describe_violation(fault: Fault, shape: Shape) -> str:
    is_absent = fault.kind in (FaultKind.MISSING_MEMBER, FaultKind.NULL_ENTRY)
    found = "null" if is_absent else f"'{_quote(fault.value)}'"
    place = _spell_path(shape, fault.path, is_key=fault.is_key) or "input"
    return f"Value {found} at '{place}' failed to satisfy constraint: {_describe_constraint(fault)}"


def _describe_constraint(fault: Fault) -> str:
    shape = fault.shape
    measure = "value" if isinstance(fault.value, (int, float)) else "length"
    if fault.kind is FaultKind.NOT_ONE_MEMBER:
        return f"Exactly one member must be set, of: {', '.join(shape.members)}"
    if fault.kind is FaultKind.BELOW_MINIMUM:
        return f"Member must have {measure} greater than or equal to {shape.minimum}"
    if fault.kind is FaultKind.ABOVE_MAXIMUM:
        return f"Member must have {measure} less than or equal to {shape.maximum}"
    if fault.kind is FaultKind.UNKNOWN_VALUE:
        return f"Member must satisfy enum value set: [{', '.join(shape.enum)}]"
    if fault.kind is FaultKind.WRONG_PATTERN:
        return f"Member must satisfy regular expression pattern: {shape.spelled_pattern}"
    return "Member must not be null"


def _quote(value: Any) -> str:
    text = str(value)
    return text if len(text) <= _MAX_QUOTED else f"{text[:_MAX_QUOTED]}..."


def _at(shape: Shape, path: ValuePath, *, is_key: bool = False) -> str:
    place = _spell_path(shape, path, is_key=is_key)
    return f" at '{place}'" if place else ""


def _spell_path(shape: Shape, path: ValuePath, *, is_key: bool = False) -> str:
    """A path as the service spells it: ``tags.2.member.key``.

    :param shape: of the whole value.
    :param is_key: whether the path ends in the key of a map, and not in the value under it.
    """
    parts: list[str] = []
    for number, part in enumerate(path, start=1):
        if shape.type_name == "structure":
            name = str(part)
            parts.append(name[:1].lower() + name[1:])
            shape = shape.members.get(name, shape)
        elif shape.type_name == "list":
            parts += [str(int(part) + 1), "member"]
            shape = shape.member
        elif is_key and number == len(path):
            parts.append("key")
        else:
            parts += [str(part), "member"]
            shape = shape.value
    return ".".join(parts)
