"""The endpoint as a proxy for programs that name AWS's own addresses: it refuses those, and passes the rest on.

It is on the endpoint's own port. Who may call the endpoint by the kernel's word may ask it, and who shows the password
of the endpoint's key. What it passes on goes
through the proxy that the endpoint's own environment names, if there is one. TLS is not opened: of an address with
``https://`` only the host is known here.
"""

from __future__ import annotations

import base64
import hmac
import logging
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from airflow_sm_pipelines.definition.partitions import is_aws_api
from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, derive_proxy_password
from airflow_sm_pipelines.loopback import LOOPBACK_NAMES
from airflow_sm_pipelines.server.http.body_reader import BodyTooLargeError, RequestFramingError, read_body

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

_log = logging.getLogger(__name__)

_CONNECT_SECONDS = 30.0
_IDLE_SECONDS = 3600.0
"""A tunnel in which nothing moves for this long is closed."""

_BLOCK_BYTES = 1 << 16
_MAX_BODY_BYTES = 64 << 20
_OF_ONE_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that are not passed on (RFC 9110, section 7.6.1); the body is sent with its length."""

_PORTS = {"http": 80, "https": 443}


class _RefusalError(Exception):
    """A request is not passed on. The reason is put into the status line, since many clients show nothing else."""

    def __init__(self, status: int, phrase: str) -> None:
        super().__init__(phrase)
        self.status = status


@dataclass(frozen=True, slots=True)
class ForwardProxy:
    """Passes requests on, but not to AWS.

    :param secret: of the endpoint's key.
    :param proxies: the proxies of the endpoint's own environment, by scheme, as ``getproxies_environment`` gives them.
    :param port: the endpoint's own; it is never its own proxy.
    """

    secret: str
    proxies: Mapping[str, str]
    port: int

    @classmethod
    def of_environment(cls, secret: str, port: int) -> ForwardProxy:
        """A proxy behind the one that this process's environment names."""
        return cls(secret, getproxies_environment(), port)

    def is_asked(self, method: str, target: str) -> bool:
        """Whether a request line is for a proxy.

        :param method: such as ``CONNECT``.
        :param target: the second word of the line. An absolute address may also be the endpoint's own.
        """
        if method == "CONNECT":
            return True
        parts = _split(target)
        return parts is not None and bool(parts.scheme and parts.netloc) and not self._is_own(parts)

    def answer(
        self,
        connection: socket.socket,
        reader: IO[bytes],
        method: str,
        target: str,
        headers: Message,
        *,
        is_known: bool = False,
    ) -> None:
        """Pass one request on and bring its answer, or refuse it. The connection is to be closed then.

        :param connection: of the client.
        :param reader: its bytes after the headers.
        :param is_known: whether the client needs no password.
        """
        try:
            if not is_known:
                self._check_password(headers.get("Proxy-Authorization", ""))
            if method == "CONNECT":
                self._tunnel(connection, reader, target)
            else:
                self._pass_on(connection, reader, method, target, headers)
        except _RefusalError as refusal:
            more = 'Proxy-Authenticate: Basic realm="sm-pipelines"\r\n' if refusal.status == 407 else ""
            body = f"{refusal}\n".encode()
            head = f"HTTP/1.1 {refusal.status} {refusal}\r\n{more}Content-Type: text/plain\r\nConnection: close\r\n"
            with suppress(OSError):
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except OSError as error:
            _log.debug("%s %s ended: %s", method, target, error)

    def _check_password(self, header: str) -> None:
        wanted = base64.b64encode(f"{ACCESS_KEY_ID}:{derive_proxy_password(self.secret)}".encode()).decode()
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "basic" or not hmac.compare_digest(given.strip().encode(), wanted.encode()):
            raise _RefusalError(407, 'This proxy asks for the endpoint\'s key: eval "$(sm-pipelines local env)"')

    def _tunnel(self, client: socket.socket, reader: IO[bytes], target: str) -> None:
        parts = _split(f"//{target}")
        if parts is None or not parts.hostname or not parts.port:
            raise _RefusalError(400, "CONNECT takes a host and a port")
        server = self._connect("https", parts.hostname, parts.port)
        with server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _pump(client, reader, server)

    def _pass_on(self, client: socket.socket, reader: IO[bytes], method: str, target: str, headers: Message) -> None:
        parts = _split(target)
        if parts is None or parts.scheme != "http" or not parts.hostname:
            raise _RefusalError(400, "This proxy takes http:// addresses, and CONNECT for all others")
        try:
            body = read_body(reader, headers, max_bytes=_MAX_BODY_BYTES)  # type: ignore[arg-type]
        except BodyTooLargeError as error:
            raise _RefusalError(413, str(error)) from error
        except RequestFramingError as error:
            raise _RefusalError(400, f"The body cannot be read: {error}") from error
        upstream = self._find_upstream("http", parts.hostname)
        server = self._connect("http", parts.hostname, parts.port or 80)
        path = target if upstream else parts._replace(scheme="", netloc="").geturl() or "/"
        kept = [
            (name, value) for name, value in headers.items() if name.lower() not in _OF_ONE_HOP | {"content-length"}
        ]
        kept += [("Connection", "close"), *_authorization(upstream)]
        if body or method in {"POST", "PUT", "PATCH"}:
            kept.append(("Content-Length", str(len(body))))
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in kept), "", ""]
        with server:
            server.sendall("\r\n".join(lines).encode("latin-1", "replace") + body)
            server.settimeout(_IDLE_SECONDS)
            _copy(server, client)

    def _connect(self, scheme: str, host: str, port: int) -> socket.socket:
        """A connection to a host, or to the next proxy: for https then with a tunnel to the host."""
        if is_aws_api(host):
            phrase = f"{host} is AWS, and only the local endpoint at AWS_ENDPOINT_URL is reached from here"
            raise _RefusalError(403, phrase)
        upstream = self._find_upstream(scheme, host)
        try:
            if upstream is None:
                return socket.create_connection((host, port), _CONNECT_SECONDS)
            server = _connect_to_proxy(upstream)
            if scheme == "https":
                _open_tunnel(server, upstream, host, port)
        except (OSError, ValueError) as error:
            through = f" through {upstream.hostname}" if upstream else ""
            raise _RefusalError(502, f"{host}:{port} is not reached{through}: {error}".replace("\n", " ")) from error
        return server

    def _find_upstream(self, scheme: str, host: str) -> SplitResult | None:
        """The user's own proxy for a host."""
        given = self.proxies.get(scheme) or self.proxies.get("all")
        if not given or host in LOOPBACK_NAMES or proxy_bypass_environment(host, dict(self.proxies)):
            return None
        parts = _split(given if "://" in given else f"http://{given}")
        return parts if parts is not None and parts.scheme in _PORTS and not self._is_own(parts) else None

    def _is_own(self, parts: SplitResult) -> bool:
        return parts.hostname in LOOPBACK_NAMES and (parts.port or _PORTS.get(parts.scheme)) == self.port


def _split(address: str) -> SplitResult | None:
    """The parts of an address; None where it is none."""
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _connect_to_proxy(upstream: SplitResult) -> socket.socket:
    host, port = upstream.hostname or "", upstream.port or _PORTS[upstream.scheme]
    plain = socket.create_connection((host, port), _CONNECT_SECONDS)
    if upstream.scheme == "http":
        return plain
    try:
        return ssl.create_default_context().wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def _open_tunnel(server: socket.socket, upstream: SplitResult, host: str, port: int) -> None:
    """Ask the next proxy for a tunnel."""
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}", *(f"{k}: {v}" for k, v in _authorization(upstream)), "", ""]
    try:
        server.sendall("\r\n".join(lines).encode())
        head = b""
        # Byte by byte: what follows the head belongs to the tunnel.
        while not head.endswith(b"\r\n\r\n") and len(head) < _BLOCK_BYTES:
            byte = server.recv(1)
            if not byte:
                break
            head += byte
        words = head.partition(b"\r\n")[0].decode("latin-1").split(" ", 2)
        if len(words) < 2 or not words[1].startswith("2"):
            raise OSError(f"it answered {' '.join(words[1:])[:200] or 'nothing'}")
    except BaseException:
        server.close()
        raise


def _authorization(upstream: SplitResult | None) -> list[tuple[str, str]]:
    if upstream is None or upstream.username is None:
        return []
    text = f"{unquote(upstream.username)}:{unquote(upstream.password or '')}"
    return [("Proxy-Authorization", f"Basic {base64.b64encode(text.encode()).decode()}")]


def _pump(client: socket.socket, reader: IO[bytes], server: socket.socket) -> None:
    """Carry bytes in both directions until both have ended."""
    for one in (client, server):
        one.settimeout(_IDLE_SECONDS)
    back = threading.Thread(target=_copy, args=(server, client), name="sm-pipelines-tunnel", daemon=True)
    back.start()
    try:
        read: Any = getattr(reader, "read1", reader.read)
        while block := read(_BLOCK_BYTES):
            server.sendall(block)
    except OSError as error:
        _log.debug("a tunnel ended: %s", error)
    with suppress(OSError):
        server.shutdown(socket.SHUT_WR)
    back.join()


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(_BLOCK_BYTES):
            target.sendall(block)
    except OSError as error:
        _log.debug("a tunnel ended: %s", error)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
