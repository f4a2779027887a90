"""Serves a model through the web server of its own image, as SageMaker does: ``GET /ping``, then ``POST /invocations``.

It is run by path, as ``container_server.py PAYLOADS ANSWERS COMMAND ...``; standard library only. The command listens
on port 8080, on which all jobs of a machine meet: one waits for the other.

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

from payload_stream import ServingError, fail, serve_file  # type: ignore[import-not-found]  # in this directory

if TYPE_CHECKING:
    from collections.abc import Iterator

_PORT = 8080
_LOCK_PORT = 48080
"""Held on loopback by the job whose server runs."""
_PING_SECONDS = 480.0
"""The developer guide gives a container 8 minutes to answer the first ping."""
_INVOCATION_SECONDS = 3600.0


def main(payloads: str, answers: str, *command: str) -> int:
    """Serve all payloads, and give the exit code."""
    try:
        with _hold_port(), _run_server(command) as server:
            _wait_for_ping(server)
            return int(serve_file(payloads, answers, _invoke))
    except ServingError as error:
        return int(fail(str(error)))


@contextlib.contextmanager
def _hold_port() -> Iterator[None]:
    while True:
        lock = socket.socket()
        try:
            lock.bind(("127.0.0.1", _LOCK_PORT))
            break
        except OSError:
            lock.close()
            time.sleep(0.1)
    with lock:
        if _is_answered():
            raise ServingError(
                f"ClientError: port {_PORT} of this machine is taken by another program, and the server of the image "
                "needs it. End that program."
            )
        yield


@contextlib.contextmanager
def _run_server(command: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "SAGEMAKER_BIND_TO_PORT": str(_PORT)}
    try:
        server = subprocess.Popen(command, env=environment, start_new_session=True)
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


def _is_answered() -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", _PORT)) == 0


def _wait_for_ping(server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PING_SECONDS
    pause = 0.1
    last = "nothing listened on port 8080"
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise ServingError(
                f"AlgorithmError: the server ended with exit code {server.returncode} before it answered."
            )
        try:
            status, body, _ = _request("GET", "/ping", b"", {}, 10)
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)
            continue
        if status == 200:
            return
        last = f"/ping answered {status}: {body[:200].decode('utf-8', errors='replace')}"
        time.sleep(pause)
        pause = min(2 * pause, 5.0)
    raise ServingError(f"AlgorithmError: the server did not pass the ping health check in time; {last}.")


def _invoke(body: bytes, content_type: str | None, accept: str | None) -> tuple[bytes, str | None]:
    headers = {"Content-Type": content_type or "application/octet-stream"}
    if accept:
        headers["Accept"] = accept
    status, answer, kind = _request("POST", "/invocations", body, headers, _INVOCATION_SECONDS)
    if status != 200:
        said = answer[:300].decode("utf-8", errors="replace").strip()
        raise ServingError(f"ClientError: /invocations answered {status}: {said}")
    return answer, kind


def _request(
    method: str, path: str, body: bytes, headers: dict[str, str], timeout: float
) -> tuple[int, bytes, str | None]:
    connection = http.client.HTTPConnection("127.0.0.1", _PORT, timeout=timeout)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return response.status, response.read(), response.getheader("Content-Type")
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
