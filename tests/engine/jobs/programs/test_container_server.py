"""The program that asks an image's own web server, and what stands in for nginx in front of such servers."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY

if TYPE_CHECKING:
    from pathlib import Path


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


def _connect(port: int) -> socket.socket:
    deadline = time.monotonic() + 30
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port))
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
