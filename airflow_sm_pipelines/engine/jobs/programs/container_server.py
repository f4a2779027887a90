"""Serves a model through the web server of its own image, as SageMaker does: ``GET /ping``, then ``POST /invocations``.

It is run by path, as ``container_server.py PAYLOADS ANSWERS COMMAND ...``; standard library only. The command listens
on port 8080. In ``server_network.py`` stands where that is.

Source of the contract: Amazon SageMaker developer guide, "Use your own inference code with batch transform".
"""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from payload_stream import ServingError, fail, serve  # type: ignore[import-not-found]  # in this directory
from server_network import Network, find_network  # type: ignore[import-not-found]

if TYPE_CHECKING:
    from collections.abc import Iterator

_PING_SECONDS = 480.0
"""The developer guide gives a container 8 minutes to answer the first ping."""
_INVOCATION_SECONDS = 3600.0


def main(payloads: str, answers: str, *command: str) -> int:
    """Serve all payloads, and give the exit code."""
    try:
        with find_network(is_long_lived=not answers) as network, _run_server(command, network) as process:
            server = _Server(network, process)
            server.wait_for_ping()
            return int(serve(payloads, answers, server.invoke, is_parallel=True))
    except ServingError as error:
        return int(fail(str(error)))


@contextlib.contextmanager
def _run_server(command: tuple[str, ...], network: Network) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "SAGEMAKER_BIND_TO_PORT": str(network.port)}
    try:
        server = network.call(subprocess.Popen, command, env=environment, start_new_session=True)
    except OSError as error:
        raise ServingError(f"AlgorithmError: '{command[0]}' could not be started: {error.strerror}.") from error
    try:
        yield server
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(5)


class _Server:
    """The server of the image, as a client of it."""

    def __init__(self, network: Network, process: subprocess.Popen[bytes]) -> None:
        self._network, self._process = network, process

    def wait_for_ping(self) -> None:
        deadline = time.monotonic() + _PING_SECONDS
        pause = 0.1
        last = f"nothing listened on port {self._network.port}"
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServingError(
                    f"AlgorithmError: the server ended with exit code {self._process.returncode} before it answered."
                    f"{self._network.hint}"
                )
            try:
                status, body, _ = self._request("GET", "/ping", b"", {}, 10)
            except (OSError, http.client.HTTPException):
                time.sleep(0.1)
                continue
            if status == 200:
                return
            last = f"/ping answered {status}: {body[:200].decode('utf-8', errors='replace')}"
            time.sleep(pause)
            pause = min(2 * pause, 5.0)
        raise ServingError(
            f"AlgorithmError: the server did not pass the ping health check in time; {last}.{self._network.hint}"
        )

    def invoke(self, body: bytes, content_type: str | None, accept: str | None) -> tuple[bytes, str | None]:
        headers = {"Content-Type": content_type or "application/octet-stream"}
        if accept:
            headers["Accept"] = accept
        status, answer, kind = self._request("POST", "/invocations", body, headers, _INVOCATION_SECONDS)
        if status != 200:
            said = answer[:300].decode("utf-8", errors="replace").strip()
            raise ServingError(f"ClientError: /invocations answered {status}: {said}", status=status, said=answer)
        return answer, kind

    def _request(
        self, method: str, path: str, body: bytes, headers: dict[str, str], timeout: float
    ) -> tuple[int, bytes, str | None]:
        connection = http.client.HTTPConnection("127.0.0.1", self._network.port, timeout=timeout)
        connection.sock = self._network.call(socket.socket)
        try:
            connection.sock.settimeout(timeout)
            connection.sock.connect(("127.0.0.1", self._network.port))
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return response.status, response.read(), response.getheader("Content-Type")
        finally:
            connection.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
