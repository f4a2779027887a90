"""HTTP on a socket: connections, threads, bodies. It hands whole requests to a handler and writes whole answers.

Connections are kept alive, because the handshake is most of a small call's cost.
"""

from __future__ import annotations

import io
import logging
import socket
import threading
import time
from functools import cached_property
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import ThreadedWSGIServer

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server.http.aws_errors import error_response
from airflow_sm_pipelines.server.http.body_reader import BodyTooLargeError, RequestFramingError, read_body
from airflow_sm_pipelines.server.http.forward_proxy import ForwardProxy
from airflow_sm_pipelines.server.http.messages import Request, Response
from airflow_sm_pipelines.server.http.peers import PeerRule

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 120
"""A connection without a request for this long is closed."""

_BLOCK_BYTES = 1 << 20
_BLANK_LINES = (b"\r\n", b"\n")
_LINGER_SECONDS = 5.0
"""How long a refused client may go on sending before its connection is cut."""

_POLL_SECONDS = 0.1
"""How soon the listener notices that it is to stop."""


_Answer = TypeVar("_Answer", Response, "Response | None")


class RequestHandler(Protocol):
    """Answers requests."""

    def refusal(self, request: Request) -> Response | None:
        """The answer to a request whose body is not even read, or None where it is to be read."""

    def max_body_bytes(self, request: Request) -> int:
        """How large the body may be."""

    def call(self, request: Request) -> Response:
        """The answer."""


class Listener:
    """A bound socket and the threads that serve it, one per connection.

    :param host: the address to bind.
    :param port: the port; 0 takes a free one.
    :param handler: answers requests.
    :param peer_rule: which users of this machine may call without the endpoint's key.
    :param secret: of the endpoint's key; with it, the listener is a proxy, too.
    :raises LocalEndpointError: when the address cannot be bound.
    """

    def __init__(
        self,
        host: str,
        port: int,
        handler: RequestHandler,
        peer_rule: PeerRule | None = None,
        *,
        secret: str | None = None,
    ) -> None:
        try:
            self._server = _Server(host, port, handler, peer_rule or PeerRule())
            if secret is not None:
                self._server.proxy = ForwardProxy.of_environment(secret, self.port)
        except (OSError, OverflowError, SystemExit) as error:
            raise LocalEndpointError(
                f"Port {port} of {host} cannot be used ({error}). "
                "Stop what listens there, choose another port, or choose 0 for a free one."
            ) from error
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="sm-pipelines-listener", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that is bound."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more connections, and close the open ones after the answer to their request."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.close_connections()


class _Server(ThreadedWSGIServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True

    proxy: ForwardProxy | None = None

    def __init__(self, host: str, port: int, handler: RequestHandler, peer_rule: PeerRule) -> None:
        self.request_handler = handler
        self.peer_rule = peer_rule
        self._connections: set[socket.socket] = set()
        # Bound here and given as a descriptor: where binding fails, werkzeug prints advice and exits the process.
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as bound:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((host, port))
            bound.listen(self.request_queue_size)
            super().__init__(host, bound.getsockname()[1], _refuse_wsgi, handler=_Handler, fd=bound.fileno())

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._connections.discard(request)

    def close_connections(self) -> None:
        for connection in list(self._connections):
            try:
                connection.shutdown(socket.SHUT_RD)
            except OSError:
                continue


class _LineKeeper(io.BufferedReader):
    """A connection's bytes, and the last line that was read of them."""

    last_line = b""

    def readline(self, size: int | None = -1, /) -> bytes:
        self.last_line = super().readline(size)
        return self.last_line


class _Handler(MotoRequestHandler):
    server: _Server
    rfile: _LineKeeper
    timeout = _IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.rfile = _LineKeeper(self.rfile.detach())

    def handle_expect_100(self) -> bool:
        """Say nothing yet to a client that waits for leave to send its body: it may be refused without."""
        return True

    @cached_property
    def peer_refusal(self) -> str | None:
        """Why the other end's user is no reason to answer. There is one handler for each connection."""
        return self.server.peer_rule.refusal(self.connection)

    def run_wsgi(self) -> None:
        proxy = self.server.proxy
        if proxy is not None and proxy.is_asked(self.command, self.path):
            self.close_connection = True
            is_known = self.peer_refusal is None
            proxy.answer(self.connection, self.rfile, self.command, self.path, self.headers, is_known=is_known)
            return
        request = Request(self.make_environ(), b"", self.peer_refusal)
        handler = self.server.request_handler
        if self.rfile.last_line not in _BLANK_LINES:
            # http.server takes the end of the connection for the end of the headers.
            text = "The request ended before its headers did."
            self._refuse(request, error_response(request, "MalformedHttpRequestException", text))
            return
        response = self._answer(request, handler.refusal)
        if response is not None:
            self._refuse(request, response)
            return
        if self.headers.get("Expect", "").strip(" \t").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()
        try:
            body = read_body(self.rfile, self.headers, max_bytes=handler.max_body_bytes(request))
        except BodyTooLargeError as error:
            self._refuse(request, error_response(request, "EntityTooLarge", str(error), status=413))
            return
        except (RequestFramingError, OSError) as error:
            message = f"The request's body cannot be read: {error}"
            self._refuse(request, error_response(request, "MalformedHttpRequestException", message))
            return
        request = Request(request.environ, body, self.peer_refusal)
        self._write(request, self._answer(request, handler.call), is_last=self.close_connection)

    def _answer(self, request: Request, ask: Callable[[Request], _Answer]) -> _Answer | Response:
        try:
            return ask(request)
        except Exception as error:  # noqa: BLE001 - a fault in one answer must not end the connection
            _log.exception("The endpoint failed at %s %s", request.method, request.path)
            text = f"The local endpoint failed: {type(error).__name__}: {error}"
            return error_response(request, "InternalFailure", text, status=500)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        _log.debug("%s %s", self.requestline, code)

    def log(self, type: str, message: str, *args: Any) -> None:
        _log.debug(message, *args)

    def _refuse(self, request: Request, response: Response) -> None:
        """Answer without the body, and let the client read the answer before the connection goes.

        A client that is still sending when the connection closes sees a reset, and never the answer.
        """
        self._write(request, response, is_last=True)
        deadline = time.monotonic() + _LINGER_SECONDS
        try:
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(_LINGER_SECONDS)
            while time.monotonic() < deadline and self.connection.recv(_BLOCK_BYTES):
                continue
        except OSError:
            return

    def _write(self, request: Request, response: Response, *, is_last: bool) -> None:
        is_head = request.method == "HEAD"
        names = {name.lower() for name, _ in response.headers}
        phrase = HTTPStatus(response.status).phrase if response.status in _STATUSES else "Unknown"
        self.send_response(response.status, phrase)
        for name, value in response.headers:
            if name.lower() not in {"connection", "server", "date"}:
                self.send_header(name, value)
        if "content-length" not in names and response.status not in {204, 304}:
            self.send_header("Content-Length", str(response.file.length if response.file else len(response.body)))
        if is_last:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if not is_head and response.status not in {204, 304}:
            for block in response.file.iter_blocks() if response.file else (response.body,):
                self.wfile.write(block)
        self.wfile.flush()


_STATUSES = frozenset(int(status) for status in HTTPStatus)


def _refuse_wsgi(environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    raise RuntimeError("requests are answered by the handler, not by a WSGI application")
