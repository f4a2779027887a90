"""Lambda's Invoke: the function runs as it does for a Lambda step. moto would start it in Docker."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from airflow_sm_pipelines.server.http.aws_errors import error_response
from airflow_sm_pipelines.server.http.messages import Request, Response

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.services import EngineServices

_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations/?\Z")


def is_invocation(request: Request) -> bool:
    """Whether a request invokes a function."""
    return request.service == "lambda" and request.method == "POST" and _PATH.match(request.path) is not None


class LambdaInvoker:
    """Answers Invoke.

    :param services: the engine's, which find and run functions.
    """

    def __init__(self, services: EngineServices) -> None:
        self._services = services
        self._stop = threading.Event()

    def stop(self) -> None:
        """Stop the functions that run."""
        self._stop.set()

    def run(self, name_or_arn: str, event: Any) -> None:
        """Run a function for nobody who waits. What it raises is in its log.

        :raises LookupError: if there is no such function.
        :raises InterruptedError: if it was stopped because the endpoint closes.
        """
        spec = self._services.find_function(name_or_arn)
        if spec is None:
            raise LookupError(f"there is no function {name_or_arn}")
        context = self._services.job_context(f"/aws/lambda/{spec.name}")
        self._services.run_function(spec, event, context, self._stop)
        if self._stop.is_set():
            raise InterruptedError(name_or_arn)

    def call(self, request: Request) -> Response:
        """Run the function. One that is invoked as an event has ended when the answer comes."""
        match = _PATH.match(request.path)
        name = unquote(match[1]) if match else ""
        spec = self._services.find_function(name)
        if spec is None:
            return error_response(request, "ResourceNotFoundException", f"Function not found: {name}", status=404)
        kind = str(request.environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse"))
        if kind == "DryRun":
            return Response(204)
        try:
            event = json.loads(request.body or b"{}")
        except ValueError as error:
            message = f"Could not parse request body into json: {error}"
            return error_response(request, "InvalidRequestContentException", message)
        context = self._services.job_context(f"/aws/lambda/{spec.name}")
        outcome = self._services.run_function(spec, event, context, self._stop)
        if kind == "Event":
            return Response(202)
        headers: tuple[tuple[str, str], ...] = (("X-Amz-Executed-Version", "$LATEST"),)
        if outcome.status == "Completed":
            return Response(200, json.dumps(outcome.result).encode(), headers)
        failure = outcome.result
        if not isinstance(failure, dict):
            failure = {"errorMessage": outcome.error or outcome.status}
        return Response(200, json.dumps(failure).encode(), (*headers, ("X-Amz-Function-Error", "Unhandled")))
