"""SageMaker's JSON 1.1 protocol, by botocore's own service model: request bodies to values, answers to bodies.

The model is loaded on first use, once per codec (about 50 ms). Which operations exist here is the engine's business.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.shape_codec import (
    ShapeReader,
    WrongTypeError,
    format_timestamp,
    format_violations,
    parse_timestamp,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    """Decodes and encodes SageMaker's operations."""

    @cached_property
    def _model(self) -> Any:
        import botocore.session

        return botocore.session.Session().get_service_model("sagemaker")

    @cached_property
    def operation_names(self) -> frozenset[str]:
        """Every operation of the service."""
        return frozenset(self._model.operation_names)

    def decode(self, operation: str, body: bytes) -> dict[str, Any]:
        """The request in a body.

        :param operation: an operation of the service.
        :param body: the HTTP body; an empty one is an empty request.
        :return: the members of the input shape that were given; timestamps are aware datetimes.
        :raises RequestRefusedError: when the body is not JSON or does not fit the input shape.
        """
        try:
            document = json.loads(body.decode("utf-8")) if body.strip() else {}
        except (ValueError, RecursionError) as error:
            raise RequestRefusedError("SerializationException", f"The request body is not JSON: {error}") from error
        shape = self._model.operation_model(operation).input_shape
        if shape is None:
            return {}
        reader = ShapeReader(parse_timestamp)
        try:
            request: dict[str, Any] = reader.read(shape, document)
        except (WrongTypeError, RecursionError) as error:
            raise RequestRefusedError("SerializationException", str(error)) from error
        if reader.violations:
            raise RequestRefusedError("ValidationException", format_violations(reader.violations))
        return request

    def find_violations(self, operation: str, request: Mapping[str, Any]) -> str | None:
        """What the service would say against a request that was made here, such as a step's resolved arguments.

        :param operation: an operation of the service.
        :param request: the request, in JSON values.
        :return: the service's text, or None when there is nothing to say.
        """
        shape = self._model.operation_model(operation).input_shape
        reader = ShapeReader(parse_timestamp)
        try:
            reader.read(shape, dict(request))
        except WrongTypeError as error:
            return str(error)
        return format_violations(reader.violations) if reader.violations else None

    def encode(self, operation: str, answer: Mapping[str, Any]) -> str:
        """The body of an answer.

        :param operation: an operation of the service.
        :param answer: the members of the output shape; None means absent.
        :return: JSON text.
        :raises InvalidAnswerError: when the answer does not fit the output shape.
        """
        shape = self._model.operation_model(operation).output_shape
        if shape is None:
            if answer:
                raise InvalidAnswerError(f"{operation} has no answer, but got members: {', '.join(answer)}")
            return "{}"
        reader = ShapeReader(format_timestamp)
        try:
            document = reader.read(shape, dict(answer))
        except WrongTypeError as error:
            raise InvalidAnswerError(f"{operation}: {error}") from error
        if reader.violations:
            raise InvalidAnswerError(f"{operation}: {format_violations(reader.violations)}")
        return json.dumps(document)
