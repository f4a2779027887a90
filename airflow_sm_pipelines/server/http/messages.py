"""An HTTP request and its answer as the server's services see them: whole bodies, no sockets.

A request knows which AWS service, region and operation it is for, can be made here in a client's place, and can be kept
as text. What a service does with it is not here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, DEFAULT_REGION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SCOPE = re.compile(r"Credential=[^/,\s]*/\d+/([^/,\s]+)/([^/,\s]+)/aws4_request")
_PRESIGNED_SCOPE = re.compile(r"^[^/]*/\d+/([^/]+)/([^/]+)/aws4_request$")
_BLOCK_BYTES = 1 << 20
_RECORDED = frozenset(
    {"REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "REQUEST_URI", "RAW_URI", "CONTENT_TYPE", "HTTP_HOST"}
)
# A replay needs neither the client's credentials nor its signature.
_NOT_RECORDED = frozenset({"HTTP_X_AMZ_SECURITY_TOKEN", "HTTP_X_AMZ_DATE", "HTTP_AUTHORIZATION"})
_SERVER_ENVIRON = {
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "SCRIPT_NAME": "",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "80",
    "SERVER_PROTOCOL": "HTTP/1.1",
}


@dataclass(frozen=True)
class Request:
    """One request to the endpoint.

    :param environ: the WSGI environment. Its ``wsgi.input`` has been read; the body is here.
    :param body: the whole body, decoded of transfer encodings.
    :param peer_refusal: why the user who made the connection is no reason to answer, in a sentence; None where it is.
    """

    environ: Mapping[str, Any]
    body: bytes
    peer_refusal: str | None = None

    @classmethod
    def of_query(cls, service: str, region: str, form: Mapping[str, str]) -> Request:
        """A request of the query protocol, as a client would send it.

        :param service: the service's signing name, such as ``iam``.
        :param region: the region; empty for the default one.
        :param form: the parameters, Action and Version among them.
        """
        environ = _client_environ(service, region, "application/x-www-form-urlencoded")
        return cls(environ, urlencode(form).encode())

    @classmethod
    def of_json(cls, service: str, region: str, target: str, document: Mapping[str, Any]) -> Request:
        """A request of the JSON protocol, as a client would send it.

        :param service: the service's signing name, such as ``logs``.
        :param region: the region; empty for the default one.
        :param target: the X-Amz-Target, such as ``Logs_20140328.CreateLogGroup``.
        :param document: the request.
        """
        environ = {**_client_environ(service, region, "application/x-amz-json-1.1"), "HTTP_X_AMZ_TARGET": target}
        return cls(environ, json.dumps(document).encode())

    @classmethod
    def of_record(cls, record: str, body: bytes) -> Request:
        """The request that was kept.

        :param record: what :meth:`to_record` gave.
        :param body: the request's body.
        """
        return cls({**_SERVER_ENVIRON, **json.loads(record)}, body)

    def to_record(self) -> str:
        """What a replay needs of the environment, as JSON. The body is kept beside it."""
        kept = {
            name: value
            for name, value in self.environ.items()
            if isinstance(value, str)
            and (name in _RECORDED or (name.startswith("HTTP_X_AMZ") and name not in _NOT_RECORDED))
        }
        return json.dumps({**kept, "HTTP_AUTHORIZATION": make_authorization(self.region, self.service)})

    @property
    def method(self) -> str:
        """The HTTP method."""
        return str(self.environ["REQUEST_METHOD"])

    @property
    def path(self) -> str:
        """The decoded path."""
        return str(self.environ.get("PATH_INFO", "/")).encode("latin-1").decode("utf-8", "replace")

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's parameters; those without a value are empty strings."""
        return dict(parse_qsl(str(self.environ.get("QUERY_STRING", "")), keep_blank_values=True))

    @cached_property
    def form(self) -> dict[str, str]:
        """The parameters of a form body (the query protocol of IAM, STS and others), or none."""
        if not self.content_type.startswith("application/x-www-form-urlencoded"):
            return {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def content_type(self) -> str:
        """The body's media type as sent."""
        return str(self.environ.get("CONTENT_TYPE", ""))

    @property
    def host(self) -> str:
        """The Host header."""
        return str(self.environ.get("HTTP_HOST", ""))

    @property
    def target(self) -> str:
        """The X-Amz-Target header: ``SageMaker.CreatePipeline``."""
        return str(self.environ.get("HTTP_X_AMZ_TARGET", ""))

    @cached_property
    def _scope(self) -> tuple[str, str]:
        found = _SCOPE.search(str(self.environ.get("HTTP_AUTHORIZATION", "")))
        if found is None:
            found = _PRESIGNED_SCOPE.match(self.query.get("X-Amz-Credential", ""))
        return (found.group(1), found.group(2).lower()) if found else ("", "")

    @property
    def region(self) -> str:
        """The region the client signed for; empty where the request is not signed."""
        return self._scope[0]

    @property
    def service(self) -> str:
        """The service's signing name. An anonymous request to S3 names no service, so S3 is the default."""
        if self._scope[1]:
            return self._scope[1]
        if self.target.startswith("SageMaker."):
            return "sagemaker"
        if "Action" in self.form or "Action" in self.query:
            return "sts" if self.form.get("Version") == "2011-06-15" else "iam"
        return "s3"

    @property
    def operation(self) -> str:
        """The operation's name where the protocol has one (JSON, query), else empty."""
        if self.target:
            return self.target.rpartition(".")[2]
        return self.form.get("Action") or self.query.get("Action", "")

    def to_environ(self) -> dict[str, Any]:
        """A new WSGI environment with this body, for an application in this process."""
        environ = {**self.environ, "wsgi.input": BytesIO(self.body), "CONTENT_LENGTH": str(len(self.body))}
        for name in ("HTTP_TRANSFER_ENCODING", "wsgi.input_terminated", "HTTP_EXPECT"):
            environ.pop(name, None)
        return environ


def read_utc_clock() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)


def make_authorization(region: str, service: str) -> str:
    """An Authorization header that names a region and a service. Its signature is worth nothing.

    :param region: the region; empty for the default one.
    :param service: the service's signing name.
    """
    scope = f"{ACCESS_KEY_ID}/20200101/{region or DEFAULT_REGION}/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"


def _client_environ(service: str, region: str, content_type: str) -> dict[str, Any]:
    return {
        **_SERVER_ENVIRON,
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "HTTP_HOST": "127.0.0.1",
        "CONTENT_TYPE": content_type,
        "HTTP_AUTHORIZATION": make_authorization(region, service),
    }


@dataclass(frozen=True)
class FilePart:
    """A part of a file that is read only while it is sent, so that the body need not be in memory.

    :param path: the file.
    :param start: the offset of its first byte.
    :param length: how many bytes it has.
    """

    path: Path
    start: int
    length: int

    def iter_blocks(self) -> Iterator[bytes]:
        """Its bytes, a block at a time.

        :raises OSError: when the file is gone.
        :raises EOFError: when it is too short.
        """
        with self.path.open("rb") as file:
            file.seek(self.start)
            left = self.length
            while left:
                block = file.read(min(left, _BLOCK_BYTES))
                if not block:
                    raise EOFError(f"{self.path} ended {left} bytes too early")
                left -= len(block)
                yield block


@dataclass(frozen=True)
class Response:
    """One answer of the endpoint.

    :param status: the HTTP status.
    :param body: the whole body.
    :param headers: pairs of name and value. The listener adds a missing Content-Length.
    :param file: the body where it is in a file; `body` is empty then.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=())
    file: FilePart | None = None

    @property
    def is_success(self) -> bool:
        """Whether the service carried the operation out."""
        return self.status < 400

    @property
    def summary(self) -> str:
        """Status and body in one short line, for messages."""
        text = " ".join(self.body.decode("utf-8", "replace").split())
        return f"HTTP {self.status} {text[:300]}".rstrip()
