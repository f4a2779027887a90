"""moto with its state on disk: a request that changed something is durable before it is answered.

Which parts of the state are kept, and how, is in :mod:`airflow_sm_pipelines.server.persistence`. Who may ask, and what
does not go to moto at all, is in :mod:`.request_router`.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID
from airflow_sm_pipelines.server.http.aws_errors import error_response
from airflow_sm_pipelines.server.http.body_reader import RequestFramingError, decode_aws_chunked, parse_length
from airflow_sm_pipelines.server.http.host_rules import parse_virtual_bucket
from airflow_sm_pipelines.server.http.messages import Request, Response
from airflow_sm_pipelines.server.persistence import (
    DATA_OPERATIONS,
    BodyStore,
    EndpointDatabase,
    LogEvents,
    MotoCheckpoint,
    QueueMessages,
    RequestJournal,
    S3Objects,
    is_journaled,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from airflow_sm_pipelines.server.moto_service import MotoService


class DurableMoto:
    """Answers requests to every service but SageMaker's pipelines.

    :param moto: carries requests out.
    :param database: for all state but the bodies of S3 objects.
    :param state_dir: for those bodies, and for the checkpoint of moto's state.
    :param host_names: names beside the loopback ones under which clients may address a bucket.
    """

    def __init__(
        self, moto: MotoService, database: EndpointDatabase, state_dir: Path, host_names: Collection[str] = ()
    ) -> None:
        self._moto = moto
        self._host_names = frozenset(host_names)
        self._log_events = LogEvents(database)
        self._bodies = BodyStore(state_dir / "objects")
        self._objects = S3Objects(database, self._bodies, moto.call)
        self._queues = QueueMessages(database)
        self._journal = RequestJournal(database, moto.call, moto.load, MotoCheckpoint(state_dir / "moto.checkpoint"))

    def restore(self, *, with_logs: bool = False) -> list[str]:
        """Put moto's state back, before the first request.

        :param with_logs: also the log events, which otherwise wait for the first request to CloudWatch Logs.
        :return: what could not be put back, a text for each.
        :raises AttributeError: when this moto's classes are not those that the state was taken from.
        """
        failures = self._objects.restore() + self._journal.replay() + self._objects.restore_notifications()
        self._queues.restore()
        if with_logs:
            self._log_events.show_all()
        return failures

    def call(self, request: Request) -> Response:
        """The answer to a request.

        :param request: the request.
        """
        if request.service == "s3":
            return self._call_s3(request)
        if request.target and not _is_json_object(request.body):
            # moto takes some bodies that are none, and its other errors for them are not typed.
            return error_response(request, "SerializationException", "The request's body is not a JSON object.")
        if request.service == "logs":
            self._log_events.load()
        if is_journaled(request):
            response = self._journal.call(request)
        else:
            self._journal.prepare(request)
            response = self._moto.call(request)
        if response.is_success:
            if request.service == "logs":
                self._log_events.record(request, json.loads(request.body or b"{}"))
            if request.service == "sqs" or request.operation in DATA_OPERATIONS:
                self._queues.record()
        return response

    def write_logs(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append events to a log stream, without HTTP. Group and stream are made where they are missing.

        :param region: the region of the group.
        :param group: the log group's name.
        :param stream: the log stream's name.
        :param events: milliseconds since the epoch, and text.
        """
        from moto.logs.models import logs_backends

        if not events:
            return
        # A group that is not recorded would be lost with all that is in it.
        self._journal.flush()
        if group not in logs_backends[ACCOUNT_ID][region].groups:
            # Two jobs may come here at once. That the second call fails does no harm.
            self.call(Request.of_json("logs", region, "Logs_20140328.CreateLogGroup", {"logGroupName": group}))
        # Half of a surrogate pair is no text that can be kept.
        lines = [
            (timestamp, text if text.isascii() else text.encode("utf-8", "replace").decode())
            for timestamp, text in events
        ]
        self._log_events.write(region, group, stream, lines)

    def close(self) -> None:
        """Remove the bodies that nothing refers to any more, and record what waits for room on the disk."""
        with contextlib.suppress(sqlite3.Error):
            self._journal.flush()
        self._bodies.close()

    def _call_s3(self, request: Request) -> Response:
        bucket = parse_virtual_bucket(request.host, self._host_names)
        if bucket is not None:
            request = _with_bucket_in_path(request, bucket)
        try:
            request = _without_aws_chunks(request)
        except RequestFramingError as error:
            return error_response(request, "IncompleteBody", f"The request's body cannot be read: {error}")
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


def _is_json_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body or b"{}"), dict)
    except (ValueError, RecursionError):
        return False


def _without_aws_chunks(request: Request) -> Request:
    """The same S3 request with its body out of AWS's chunks, whose reader in moto takes a client's sizes for true."""
    if not str(request.environ.get("HTTP_X_AMZ_CONTENT_SHA256", "")).startswith("STREAMING-"):
        return request
    name = "x-amz-decoded-content-length"
    given = request.environ.get("HTTP_X_AMZ_DECODED_CONTENT_LENGTH")
    body = decode_aws_chunked(request.body, decoded_bytes=None if given is None else parse_length(str(given), name))
    return Request({**request.environ, "HTTP_X_AMZ_CONTENT_SHA256": "UNSIGNED-PAYLOAD"}, body)
