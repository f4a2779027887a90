"""The endpoint's one door: a request is judged, sent to the service it is for, and durable before it is answered."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.server.http.aws_errors import error_response
from airflow_sm_pipelines.server.console import CONSOLE_PATH
from airflow_sm_pipelines.server.lambda_functions import with_code_inlined
from airflow_sm_pipelines.server.http.host_rules import is_allowed_host, is_allowed_origin, parse_virtual_bucket
from airflow_sm_pipelines.server.http.messages import Request, Response
from airflow_sm_pipelines.server.persistence import (
    Checkpoint,
    Database,
    LogEvents,
    ObjectPersistence,
    QueuePersistence,
    RequestJournal,
)
from airflow_sm_pipelines.server.persistence.request_journal import DATA_OPERATIONS, is_journaled
from airflow_sm_pipelines.server.http.messages import authorization
from airflow_sm_pipelines.server.iam_roles import Roles, simulate_principal_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from airflow_sm_pipelines.server.moto_service import MotoService

#: The largest body S3 takes in one request (S3's own limit), and any other service (above Lambda's 50 MB, in base64).
MAX_OBJECT_BYTES = 5 << 30
MAX_REQUEST_BYTES = 128 << 20


class Front:
    """Sends requests on their way.

    :param moto: every service but SageMaker's pipelines.
    :param database: for moto's state.
    :param state_dir: for the bodies of S3 objects, and the checkpoint of moto's state.
    :param host_names: names beside the loopback ones that the endpoint answers to.
    """

    def __init__(self, moto: MotoService, database: Database, state_dir: Path, host_names: Collection[str]) -> None:
        self._moto = moto
        self._host_names = frozenset(host_names)
        self.log_events = LogEvents(database)
        self._objects = ObjectPersistence(database, state_dir / "objects", moto.call)
        self._queues = QueuePersistence(database)
        self._journal = RequestJournal(database, moto.call, moto.load, Checkpoint(state_dir / "moto.checkpoint"))
        self._roles = Roles(self.call_moto)
        self._sagemaker: Callable[[Request], Response] = self.call_moto
        self._console: Callable[[Request], Response] = self.call_moto

    def restore(self) -> None:
        """Put moto's state back, before the first request."""
        self._objects.restore()
        self._journal.replay()
        self._objects.restore_notifications()
        self._queues.restore()

    def attach(self, sagemaker: Callable[[Request], Response], console: Callable[[Request], Response]) -> None:
        """Send SageMaker's requests, and those for the console's pages, to services of our own from now on.

        :param sagemaker: answers the first.
        :param console: answers the second.
        """
        self._sagemaker = sagemaker
        self._console = console

    def close(self) -> None:
        """Finish what waits to be written or removed."""
        self._objects.close()

    def refusal(self, request: Request) -> Response | None:
        """Why a request may not be answered at all, judged by its headers; None when it may.

        :param request: the request, its body not yet read.
        """
        environ = request.environ
        if not is_allowed_host(request.host, self._host_names):
            return error_response(
                request,
                "AccessDenied",
                f"This endpoint does not answer to the host name '{request.host}'; call it as 127.0.0.1 or localhost.",
                status=403,
            )
        if not is_allowed_origin(environ.get("HTTP_ORIGIN"), self._host_names):
            return error_response(
                request, "AccessDenied", "This endpoint does not answer to web pages of other sites.", status=403
            )
        if request.path.startswith("/moto-api"):
            return error_response(
                request, "AccessDenied", "moto's own API is closed here: it would lose state.", status=403
            )
        return None

    def max_body_bytes(self, request: Request) -> int:
        """How large a request's body may be.

        :param request: the request, its body not yet read.
        """
        return MAX_OBJECT_BYTES if request.service == "s3" else MAX_REQUEST_BYTES

    def call(self, request: Request) -> Response:
        """The answer to a request that is not refused.

        :param request: the request.
        """
        if not request.region and request.service != "s3":
            # moto takes a request that nobody signed for one to S3.
            scope = authorization("", request.service)
            request = Request({**request.environ, "HTTP_AUTHORIZATION": scope}, request.body)
        if request.target.startswith("SageMaker."):
            return self._sagemaker(request)
        if request.path == CONSOLE_PATH or request.path.startswith(f"{CONSOLE_PATH}/"):
            return self._console(request)
        self._roles.prepare(request)
        request = with_code_inlined(request)
        if request.service == "iam" and request.operation == "SimulatePrincipalPolicy":
            return simulate_principal_policy(request)
        return self.call_moto(request)

    def call_moto(self, request: Request) -> Response:
        """moto's answer to a request, durable where it changed something.

        :param request: the request.
        """
        if request.service == "s3":
            return self._call_s3(request)
        if request.service == "logs":
            self.log_events.load()
        response = self._journal.call(request) if is_journaled(request) else self._moto.call(request)
        if response.is_success:
            if request.service == "logs":
                self.log_events.record(request, json.loads(request.body or b"{}"))
            if request.service == "sqs" or request.operation in DATA_OPERATIONS:
                self._queues.record()
        return response

    def _call_s3(self, request: Request) -> Response:
        bucket = parse_virtual_bucket(request.host, self._host_names)
        if bucket is not None:
            request = _with_bucket_in_path(request, bucket)
        response = self._objects.call(request)
        if response.is_success:
            name = request.path.lstrip("/").partition("/")[0]
            if "moto.sqs.models" in sys.modules and self._objects.has_notifications(name):
                self._queues.record()
        return response


def _with_bucket_in_path(request: Request, bucket: str) -> Request:
    """The same S3 request in path style, which moto understands under every host name."""
    environ = dict(request.environ)
    for name in ("PATH_INFO", "REQUEST_URI", "RAW_URI"):
        if name in environ:
            environ[name] = f"/{bucket}{environ[name]}"
    port = request.host.rpartition(":")[2]
    environ["HTTP_HOST"] = f"127.0.0.1:{port}" if port.isdigit() else "127.0.0.1"
    return Request(environ, request.body)
