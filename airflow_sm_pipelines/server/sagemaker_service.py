"""SageMaker's operations: the engine answers its own, moto the others, and what neither has becomes an error."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import unquote

from airflow_sm_pipelines.server.http.aws_errors import json_error, json_response
from airflow_sm_pipelines.server.http.messages import Response
from airflow_sm_pipelines.server.missing_resources import load_errors, read_names
from airflow_sm_pipelines.server.moto_service import FAILURE_CODE, not_implemented
from airflow_sm_pipelines.server.sagemaker_codec import InvalidAnswerError, RequestRefusedError, SageMakerCodec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.server.http.messages import Request

_log = logging.getLogger(__name__)

_INVOCATION = re.compile(r"/endpoints/(?P<name>[^/]+)/(?P<way>(?:async-)?invocations(?:-[a-z-]+)?)")
"""The paths of SageMaker Runtime (botocore's service model sagemaker-runtime)."""

_WAYS = {"async-invocations": "InvokeEndpointAsync", "invocations-response-stream": "InvokeEndpointWithResponseStream"}
_UNSERVED_MEMBERS = {
    "HTTP_X_AMZN_SAGEMAKER_TARGET_MODEL": "TargetModel",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_CONTAINER_HOSTNAME": "TargetContainerHostname",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_COMPONENT": "InferenceComponentName",
    "HTTP_X_AMZN_SAGEMAKER_ENABLE_EXPLANATIONS": "EnableExplanations",
    "HTTP_X_AMZN_SAGEMAKER_SESSION_ID": "SessionId",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "CustomAttributes",
}
"""Members of InvokeEndpoint that have no effect here, by their headers. InferenceId is for data that is captured."""

_TAG_OPERATIONS = frozenset({"AddTags", "DeleteTags", "ListTags"})
"""Operations on any kind of resource, which their ``ResourceArn`` names."""


class InvocationAnswer(Protocol):
    """The answer of a model."""

    @property
    def body(self) -> bytes:
        """The answer itself."""

    @property
    def content_type(self) -> str | None:
        """Its content type."""

    @property
    def variant(self) -> str:
        """Which variant answered."""


class OperationsEngine(Protocol):
    """The engine, as far as this module knows it."""

    @property
    def operations(self) -> frozenset[str]:
        """The names of the operations that it has."""

    def call(self, operation: str, request: dict[str, Any]) -> Mapping[str, Any]:
        """The answer to an operation.

        Where the service would refuse, it raises an error with ``code`` and ``message``.
        """

    def invoke_endpoint(
        self,
        name: str,
        body: bytes,
        *,
        content_type: str | None,
        accept: str | None,
        variant: str | None,
        unserved: str | None,
    ) -> InvocationAnswer:
        """The answer of the model behind an endpoint.

        :param unserved: what of the call nothing here serves; it is refused where there is such an endpoint.
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
            return self._call_fallback(operation, request)
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

    def _call_fallback(self, operation: str, request: Request) -> Response:
        response = self._fallback(request)
        codes = {value for name, value in response.headers if name == "x-amzn-errortype"}
        if FAILURE_CODE in codes and operation in _TAG_OPERATIONS:
            # moto 5.2 fails like this where it has no such resource.
            return json_error("ResourceNotFound", f"The resource '{_resource_arn(request)}' does not exist.")
        is_unknown = "UnknownOperationException" in codes or (FAILURE_CODE in codes and b"(KeyError" in response.body)
        asks = operation.startswith("Describe") or (
            operation.startswith("List") and "ResourceNotFound" in load_errors("sagemaker", operation)
        )
        if is_unknown and asks:
            # moto 5.2 fails so, too, and what it does not know nobody can have made here.
            return _answer_missing(operation, request)
        return response

    def _answer_invocation(self, request: Request) -> Response:
        """Answer a call of SageMaker Runtime by the model behind the endpoint."""
        match = _INVOCATION.fullmatch(request.path)
        accept = request.environ.get("HTTP_ACCEPT")
        try:
            answer = self._engine.invoke_endpoint(
                unquote(match["name"]) if match else request.path,
                request.body,
                content_type=request.content_type or None,
                accept=None if accept == "*/*" else accept,
                variant=request.environ.get("HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT"),
                unserved=_find_unserved(request, match["way"] if match else ""),
            )
        except self._refusals as error:
            return _invocation_error(error)
        content_type = answer.content_type or "application/octet-stream"
        headers = (("Content-Type", content_type), ("x-Amzn-Invoked-Production-Variant", answer.variant))
        return Response(200, answer.body, headers)

    def _is_engines(self, operation: str, request: Request) -> bool:
        if operation not in self._engine.operations:
            return False
        if operation not in _TAG_OPERATIONS:
            return True
        return self._engine.owns(_resource_arn(request))


def _answer_missing(operation: str, request: Request) -> Response:
    """The service's answer to a call about what does not exist; scripts ask like that whether it does."""
    code = "ResourceNotFound" if "ResourceNotFound" in load_errors("sagemaker", operation) else "ValidationException"
    return json_error(
        code, f"{operation}: '{'/'.join(read_names(request))}' does not exist. (The local endpoint makes none.)"
    )


def _find_unserved(request: Request, way: str) -> str | None:
    """What of a call of SageMaker Runtime has no meaning here, by its name in the API."""
    if way != "invocations":
        return _WAYS.get(way, request.path)
    return next((name for header, name in _UNSERVED_MEMBERS.items() if request.environ.get(header)), None)


def _invocation_error(error: Exception) -> Response:
    """The error of SageMaker Runtime; that of a model says what the model's server said."""
    code, message = str(getattr(error, "code", "ValidationError")), str(getattr(error, "message", error))
    if code != "ModelError":
        return json_error(code, message)
    members = {
        "OriginalStatusCode": getattr(error, "status", 0),
        "OriginalMessage": getattr(error, "said", ""),
        "LogStreamArn": getattr(error, "log_stream_arn", ""),
    }
    # 424: the API model of sagemaker-runtime.
    return json_error(code, message, status=424, members=members)


def _resource_arn(request: Request) -> str:
    try:
        document = json.loads(request.body)
        arn = document.get("ResourceArn") if isinstance(document, dict) else None
        # Half of a surrogate pair is JSON, but no text.
        return arn.encode().decode() if isinstance(arn, str) else ""
    except (ValueError, RecursionError):
        return ""
