"""The endpoint as a proxy: it refuses AWS, asks for the key, and passes the rest on, also through another proxy."""

from __future__ import annotations

import base64
import http.client
import socket
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition.partitions import AWS_DNS_SUFFIXES, covers_aws, is_aws_api
from airflow_sm_pipelines.local_endpoint import derive_proxy_password, make_proxy_url
from airflow_sm_pipelines.server.http.forward_proxy import ForwardProxy
from airflow_sm_pipelines.server.http.listener import Listener
from airflow_sm_pipelines.server.http.messages import Response
from airflow_sm_pipelines.server.http.peers import PeerRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server.http.messages import Request

KEY = {"Proxy-Authorization": "Basic " + base64.b64encode(f"local:{derive_proxy_password('s')}".encode()).decode()}


class Endpoint:
    """An endpoint that says its name."""

    def refusal(self, request: Request) -> Response | None:
        return None

    def max_body_bytes(self, request: Request) -> int:
        return 1 << 20

    def call(self, request: Request) -> Response:
        return Response(200, body=b"the endpoint")


class Site(BaseHTTPRequestHandler):
    """A web server that says what it was asked."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        answer = f"{self.command} {self.path} {self.headers.get('Proxy-Authorization')} ".encode() + body
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def proxy(secret: str = "s", *, requires_key: bool = True) -> Iterator[int]:  # noqa: S107 - of this test
    listener = Listener("127.0.0.1", 0, Endpoint(), PeerRule(requires_key=requires_key), secret=secret)
    listener.start()
    try:
        yield listener.port
    finally:
        listener.stop()


@pytest.fixture
def site() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_proxy_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def tunnel(port: int, host: str, to: int, headers: dict[str, str] = KEY) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.set_tunnel(host, to, headers)
    return connection


def fetch(port: int, address: str, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, address, body, KEY)
    answer = connection.getresponse()
    return answer.status, answer.read()


@pytest.mark.parametrize("host", [f"x{suffix}" for suffix in AWS_DNS_SUFFIXES])
def test_every_domain_of_aws_is_refused_and_the_reason_says_so(host: str) -> None:
    with proxy() as port:
        with pytest.raises(OSError, match="is AWS, and only the local endpoint"):
            tunnel(port, host, 443).connect()
        assert fetch(port, f"http://{host}/")[0] == 403


def test_what_is_not_aws_is_reached_in_a_tunnel_and_by_its_whole_address(site: int) -> None:
    with proxy() as port:
        connection = tunnel(port, "localhost", site)
        for _ in range(2):
            connection.request("GET", "/a")
            assert connection.getresponse().read() == b"GET /a None "
        assert fetch(port, f"http://localhost:{site}/b?c", "POST", b"body") == (200, b"POST /b?c None body")


def test_who_does_not_show_the_key_is_asked_for_it(site: int) -> None:
    wrong = {"Proxy-Authorization": "Basic bG9jYWw6eA=="}
    with proxy() as port:
        for headers in ({}, wrong, {"Proxy-Authorization": "Bearer x"}):
            with pytest.raises(OSError, match="407"):
                tunnel(port, "localhost", site, headers).connect()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", f"http://localhost:{site}/")
        assert connection.getresponse().status == 407


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who calls")
def test_the_endpoints_own_user_needs_no_key(site: int) -> None:
    with proxy(requires_key=False) as port:
        tunnel(port, "localhost", site, {}).connect()


def test_the_endpoint_itself_still_answers_by_path_and_by_address() -> None:
    with proxy() as port:
        assert fetch(port, "/x") == (200, b"the endpoint")
        assert fetch(port, f"http://127.0.0.1:{port}/x") == (200, b"the endpoint")


def test_the_users_own_proxy_is_asked_with_the_users_password(site: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy("theirs") as outer:
        url = make_proxy_url(f"http://127.0.0.1:{outer}", "theirs")
        monkeypatch.setenv("HTTPS_PROXY", url)
        monkeypatch.setenv("http_proxy", url)
        with proxy() as port:
            # This machine's own names never go to a proxy, so a name that only the outer one is asked for is needed.
            with pytest.raises(OSError, match=r"not reached through 127.0.0.1: it answered 502 nowhere.invalid:443"):
                tunnel(port, "nowhere.invalid", 443).connect()
            assert b"nowhere.invalid:80 is not reached: " in fetch(port, "http://nowhere.invalid/")[1]
            monkeypatch.setenv("NO_PROXY", "nowhere.invalid")
        with proxy() as port, pytest.raises(OSError, match=r"502 nowhere.invalid:443 is not reached: "):
            tunnel(port, "nowhere.invalid", 443).connect()


def test_a_proxy_that_would_ask_itself_asks_nobody(site: int) -> None:
    own = ForwardProxy("s", {"https": "http://127.0.0.1:4610"}, 4610)
    assert own._find_upstream("https", "example.com") is None  # the way to see it without a network
    assert ForwardProxy("s", {"https": "http://127.0.0.1:4611"}, 4610)._find_upstream("https", "example.com")


@pytest.mark.parametrize("target", ["x", "localhost", ":1", "localhost:99999", "[::1", "localhost:x"])
def test_a_broken_target_is_a_bad_request(target: str) -> None:
    with proxy() as port, socket.create_connection(("127.0.0.1", port), 20) as connection:
        lines = [f"CONNECT {target} HTTP/1.1", *(f"{name}: {value}" for name, value in KEY.items()), "", ""]
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("host", "is_aws"),
    [
        ("sts.amazonaws.com", True),
        ("amazonaws.com", True),
        ("SageMaker.us-east-1.amazonaws.com.", True),
        ("bucket.s3.eu-west-1.amazonaws.com", True),
        ("169.254.169.254", True),
        ("[fd00:ec2::254]", True),
        ("db.abcdefgh.us-east-1.rds.amazonaws.com", False),
        ("domain-123456789012.d.codeartifact.us-east-1.amazonaws.com", False),
        ("notamazonaws.com", False),
        ("pypi.org", False),
    ],
)
def test_a_host_is_aws_or_what_somebody_runs_there(host: str, is_aws: bool) -> None:
    assert is_aws_api(host) is is_aws


@pytest.mark.parametrize(
    ("entry", "covers"),
    [
        ("*", True),
        (".amazonaws.com", True),
        ("*.amazonaws.com", True),
        ("s3.amazonaws.com:443", True),
        ("com", True),
        (".com", True),
        ("169.254.169.254", True),
        ("example.com", False),
        ("127.0.0.1", False),
        ("domain.d.codeartifact.us-east-1.amazonaws.com", False),
    ],
)
def test_an_entry_of_no_proxy_covers_aws(entry: str, covers: bool) -> None:
    assert covers_aws(entry) is covers
