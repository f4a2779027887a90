"""SageMaker's operations: the engine answers its own, moto the others, and what neither has becomes an error."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.server.http.aws_errors import json_error, json_response
from airflow_sm_pipelines.server.moto_service import FAILURE_CODE, not_implemented
from airflow_sm_pipelines.server.sagemaker_codec import InvalidAnswerError, RequestRefusedError, SageMakerCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.server.http.messages import Request, Response

_log = logging.getLogger(__name__)

_INVOCATION = re.compile(r"/endpoints/(?P<name>[^/]+)/(?:async-)?invocations(?:-[a-z-]+)?")
"""The paths of SageMaker Runtime (botocore's service model sagemaker-runtime)."""

_TAG_OPERATIONS = frozenset({"AddTags", "DeleteTags", "ListTags"})
"""Operations on any kind of resource, which their ``ResourceArn`` names."""


class OperationsEngine(Protocol):
    """The engine, as far as this module knows it."""

    @property
    def operations(self) -> frozenset[str]:
        """The names of the operations that it has."""

    def call(self, operation: str, request: dict[str, Any]) -> Mapping[str, Any]:
        """The answer to an operation.

        Where the service would refuse, it raises an error with ``code`` and ``message``.
        """

    def owns(self, arn: str) -> bool:
        """Whether it keeps the resource of an ARN, and so the resource's tags."""


class SageMakerService:
    """Answers requests to SageMaker.

    :param engine: the engine.
    :param codec: reads requests and writes answers.
    :param refusals: the engine's class of typed errors, with ``code`` and ``message``.
    :param fallback: answers what the engine does not have.
    """

    def __init__(
        self,
        engine: OperationsEngine,
        codec: SageMakerCodec,
        *,
        refusals: type[Exception],
        fallback: Callable[[Request], Response],
    ) -> None:
        self._engine = engine
        self._refusals = refusals
        self._fallback = fallback
        self._codec = codec

    def call(self, request: Request) -> Response:
        """The answer to a request to SageMaker, or to SageMaker Runtime.

        :param request: one whose target is an operation of SageMaker, or whose path is below ``/endpoints/``.
        """
        if not request.target:
            return self._answer_invocation(request)
        operation = request.operation
        if operation not in self._codec.operation_names:
            return json_error("UnknownOperationException", f"SageMaker has no operation called '{operation}'.")
        if not self._is_engines(operation, request):
            response = self._fallback(request)
            if ("x-amzn-errortype", FAILURE_CODE) in response.headers and operation in _TAG_OPERATIONS:
                # moto 5.2 fails like this where it has no such resource.
                return json_error("ResourceNotFound", f"The resource '{_resource_arn(request)}' does not exist.")
            return response
        try:
            values = self._codec.decode(operation, request.body)
            return json_response(200, self._codec.encode(operation, self._engine.call(operation, values)))
        except RequestRefusedError as error:
            return json_error(error.code, error.message)
        except self._refusals as error:
            code = str(getattr(error, "code", "ValidationException"))
            status = 500 if code == "InternalFailure" else 400
            return json_error(code, str(getattr(error, "message", error)), status=status)
        except NotImplementedError as error:
            return not_implemented(request, str(error))
        except InvalidAnswerError as error:
            _log.exception("The engine's answer does not fit SageMaker's model")
            return json_error("InternalFailure", f"The local endpoint's own fault: {error}", status=500)
        except Exception as error:  # noqa: BLE001 - the engine may fail in any way; the client gets one typed error
            _log.exception("The engine failed at %s", operation)
            return json_error(
                "InternalFailure", f"The local engine failed: {type(error).__name__}: {error}", status=500
            )

    def _answer_invocation(self, request: Request) -> Response:
        """Refuse a call of SageMaker Runtime: nothing here serves models."""
        match = _INVOCATION.fullmatch(request.path)
        name = match["name"] if match else request.path
        try:
            self._engine.call("DescribeEndpoint", {"EndpointName": name})
        except self._refusals:
            return json_error("ValidationError", f"Endpoint {name} not found.")
        return json_error(
            "ValidationError",
            f"Endpoint {name} is a record only: the local endpoint serves no models. Score with a batch transform, or"
            " call the endpoint on AWS.",
        )

    def _is_engines(self, operation: str, request: Request) -> bool:
        if operation not in self._engine.operations:
            return False
        if operation not in _TAG_OPERATIONS:
            return True
        return self._engine.owns(_resource_arn(request))


def _resource_arn(request: Request) -> str:
    try:
        document = json.loads(request.body)
        arn = document.get("ResourceArn") if isinstance(document, dict) else None
        # Half of a surrogate pair is JSON, but no text.
        return arn.encode().decode() if isinstance(arn, str) else ""
    except (ValueError, RecursionError):
        return ""
