"""An HTTP request and its answer as the server's services see them: whole bodies, no sockets.

A request knows which AWS service, region and operation it is for. What a service does with it is not here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_SCOPE = re.compile(r"Credential=[^/,\s]*/\d+/([^/,\s]+)/([^/,\s]+)/aws4_request")
_PRESIGNED_SCOPE = re.compile(r"^[^/]*/\d+/([^/]+)/([^/]+)/aws4_request$")
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Request:
    """One request to the endpoint.

    :param environ: the WSGI environment; its ``wsgi.input`` is spent, the body is here.
    :param body: the whole body, decoded of transfer encodings.
    """

    environ: Mapping[str, Any]
    body: bytes

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
        """The service's signing name; S3 where nothing says otherwise, as with anonymous S3 requests."""
        if self._scope[1]:
            return self._scope[1]
        if self.target.startswith("SageMaker."):
            return "sagemaker"
        if "Action" in self.form or "Action" in self.query:
            return "sts" if self.form.get("Version") == "2011-06-15" else "iam"
        return "s3"

    @property
    def operation(self) -> str:
        """The operation's name where the protocol names one (JSON, query), else empty."""
        if self.target:
            return self.target.rpartition(".")[2]
        return self.form.get("Action") or self.query.get("Action", "")

    def to_environ(self) -> dict[str, Any]:
        """A fresh WSGI environment with this body, for an application in this process."""
        environ = {**self.environ, "wsgi.input": BytesIO(self.body), "CONTENT_LENGTH": str(len(self.body))}
        for name in ("HTTP_TRANSFER_ENCODING", "wsgi.input_terminated", "HTTP_EXPECT"):
            environ.pop(name, None)
        return environ


@dataclass(frozen=True)
class FilePart:
    """A part of a file, read when it is sent: a body that need not be in memory.

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
    :param headers: name and value pairs; Content-Length is added by the listener where it is missing.
    :param file: the body in the place of `body`, where it is in a file.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = field(default=())
    file: FilePart | None = None

    @property
    def is_success(self) -> bool:
        """Whether the operation was done."""
        return self.status < 400
