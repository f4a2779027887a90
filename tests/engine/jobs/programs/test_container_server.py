"""The program that asks an image's own web server, and what stands in for nginx in front of such servers."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_stand_in_for_nginx_passes_requests_on_to_a_socket(tmp_path: Path) -> None:
    address = tmp_path / "app.sock"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"http {{ # listen 1;\n upstream app {{ server unix:{address}; }}\n server {{ listen {port} deferred; }} }}"
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(address))
        server.listen()
        command = [sys.executable, str(PROGRAMS_DIRECTORY / "bin" / "nginx"), "-c", str(configuration)]
        process = subprocess.Popen(command, env={"PATH": ""})
        try:
            client = _connect(port)
            client.sendall(b"ping")
            upstream, _ = server.accept()
            assert upstream.recv(4) == b"ping"
            upstream.sendall(b"pong")
            assert client.recv(4) == b"pong"
            upstream.close()
            client.close()
        finally:
            process.kill()
            process.wait()


SERVER = """
import os, urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with urllib.request.urlopen(os.environ["AWS_ENDPOINT_URL"]) as answer:
            body += answer.read()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler).serve_forever()
"""


class _Endpoint(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b" and the endpoint's")

    def log_message(self, *_: object) -> None:
        pass


def test_a_server_has_port_8080_and_the_endpoint_while_another_program_has_that_port(tmp_path: Path) -> None:
    payloads, answers = tmp_path / "payloads", tmp_path / "answers"
    payloads.write_bytes(b'{"content_type": "text/csv", "accept": null, "size": 8}\na line\'s')
    program = [sys.executable, str(PROGRAMS_DIRECTORY / "container_server.py"), str(payloads), str(answers)]
    with ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint) as endpoint, socket.socket() as other:
        threading.Thread(target=endpoint.serve_forever, daemon=True).start()
        with contextlib.suppress(OSError):  # it is taken already
            other.bind(("127.0.0.1", 8080))
            other.listen()
        url = f"http://127.0.0.1:{endpoint.server_port}"
        environment = {**os.environ, "AWS_ENDPOINT_URL": url, "SAGEMAKER_BASE_DIR": str(tmp_path), "no_proxy": "*"}
        done = subprocess.run(
            [*program, sys.executable, "-c", SERVER], env=environment, capture_output=True, timeout=60, check=False
        )
        endpoint.shutdown()
    assert done.returncode == 0, done
    assert answers.read_bytes().endswith(b"\na line's and the endpoint's")


def test_without_network_namespaces_a_server_is_told_another_port(monkeypatch: pytest.MonkeyPatch) -> None:
    import server_network  # type: ignore[import-not-found]  # its directory is on the path of these tests

    def refuse(flags: int) -> None:
        raise PermissionError(1, "not here")

    monkeypatch.setattr(server_network, "_unshare", refuse)
    monkeypatch.setattr(server_network, "_is_answered", lambda: True)
    for is_long_lived in (False, True):
        with server_network.find_network(is_long_lived=is_long_lived) as network:
            assert network.port not in (0, 8080)
            assert f"listen on port {network.port} (SAGEMAKER_BIND_TO_PORT). End the program" in network.hint


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
