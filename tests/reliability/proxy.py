"""A loopback proxy before the real endpoint: it counts what the endpoint accepted, and injects faults.

A task tells its process id in the app id of its User-Agent (``AWS_SDK_UA_APP_ID``, set by the DAG file), so the proxy
kills exactly the process that made a call, at a point of that call.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import struct
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.reliability.injections import Injection, Script

_PROCESSES = re.compile(r"app/task-(\d+)-(\d+)")
_EXECUTION = re.compile(r":pipeline/([^/]+)/execution/")
AWAKE_SECONDS = 12
ANY_PIPELINE = ""
_PAGE = b"<html><body>Please log in to the proxy</body></html>"
_NOT_SENT_ON = frozenset({"connection", "transfer-encoding", "server", "date", "content-length"})


class FaultProxy:
    """What the proxy knows.

    :ivar url: where it answers.
    :ivar scripts: the faults to come, by pipeline; under :data:`ANY_PIPELINE`, of all that have none of their own.
    :ivar accepted: calls that the endpoint answered with success, by pipeline and operation; the triggerer's looks are
        counted once more, as ``triggerer``.
    :ivar on_accepted: told of each such call, before it is answered.
    """

    def __init__(self, upstream: str) -> None:
        split = urlsplit(upstream)
        self.upstream = (split.hostname or "", split.port or 0)
        self.url = ""
        self.scripts: dict[str, Script] = {}
        self.accepted: Counter[tuple[str, str]] = Counter()
        self.on_accepted: Callable[[str, str], None] = lambda pipeline, operation: None
        self._lock = threading.Lock()

    def note(self, pipeline: str, operation: str) -> None:
        """Count one accepted call."""
        with self._lock:
            self.accepted[pipeline, operation] += 1
        self.on_accepted(pipeline, operation)

    def take(self, pipeline: str, operation: str, *, is_task: bool) -> tuple[Script, Injection] | None:
        """The fault of this call, with the script it is from."""
        script = self.scripts.get(pipeline) or self.scripts.get(ANY_PIPELINE)
        injection = None if script is None else script.take(operation, is_task=is_task)
        return None if script is None or injection is None else (script, injection)


@contextmanager
def open_proxy(upstream: str) -> Iterator[FaultProxy]:
    """Serve a proxy before ``upstream`` on a free loopback port."""
    proxy = FaultProxy(upstream)

    class Handler(_Handler):
        state = proxy

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection of a client."""

    state: FaultProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def finish(self) -> None:
        with suppress(OSError):
            super().finish()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
        pipeline = _pipeline_of(body)
        found = self.state.take(pipeline, operation, is_task=self._processes() is not None)
        if found is None:
            self._answer(*self._forward(body, pipeline, operation))
            return
        script, injection = found
        if injection.action == "kill" and injection.delay_seconds:
            script.hold(injection)
            threading.Timer(injection.delay_seconds, self._kill, (injection, script)).start()
            self._answer(*self._forward(body, pipeline, operation))
            return
        if injection.action == "stall":
            script.hold(injection)
            self._stall(injection, script)
            self._answer(*self._forward(body, pipeline, operation))
            return
        if injection.moment == "before":
            self._act(script, injection, None)
            return
        if injection.action == "twice":
            self._forward(body, pipeline, operation)
        self._act(script, injection, self._forward(body, pipeline, operation))

    def do_GET(self) -> None:
        self._answer(*self._forward(self.rfile.read(int(self.headers.get("Content-Length") or 0)), "", ""))

    do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Stay silent."""

    def _act(self, script: Script, injection: Injection, answer: tuple[int, Any, bytes] | None) -> None:
        if injection.moment == "mid-answer" and answer is not None:
            status, headers, body = answer
            self._send_head(status, headers, len(body))
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
        if injection.action == "kill":
            self._kill(injection, script)
            self._reset()
        elif injection.action == "reset":
            self._reset()
            script.happened(injection)
        elif injection.action == "hold":
            script.happened(injection)
            threading.Event().wait(injection.delay_seconds)
            self._reset() if answer is None else self._answer(*answer)
        elif injection.action == "garble":
            script.happened(injection)
            self._answer(200, *_garble(injection.garbled, b"" if answer is None else answer[2]))
        elif injection.action == "twice" and answer is not None:
            script.happened(injection)
            self._answer(*answer)
        else:
            script.happened(injection)
            text = json.dumps({"__type": injection.code, "message": injection.message}).encode()
            headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-ErrorType", injection.code)]
            self._answer(injection.http_status, headers, text)

    def _processes(self) -> tuple[int, int] | None:
        found = _PROCESSES.search(self.headers.get("User-Agent", ""))
        return None if found is None else (int(found[1]), int(found[2]))

    def _kill(self, injection: Injection, script: Script) -> None:
        """SIGKILL to the caller; counts as a fault only if it was still there."""
        task, worker = self._processes() or (0, 0)
        try:
            if injection.victim == "worker":
                os.kill(worker, signal.SIGKILL)
            os.kill(task, signal.SIGKILL)
        except ProcessLookupError:
            if injection.delay_seconds:
                script.missed(injection)
            return
        script.happened(injection)

    def _stall(self, injection: Injection, script: Script) -> None:
        """Hang the caller and its worker for a while; the fault has happened when they have been awake again."""
        processes = self._processes() or ()

        def send(number: signal.Signals) -> None:
            for one in processes:
                with suppress(ProcessLookupError):
                    os.kill(one, number)

        send(signal.SIGSTOP)
        threading.Timer(injection.delay_seconds, send, (signal.SIGCONT,)).start()
        threading.Timer(injection.delay_seconds + AWAKE_SECONDS, script.happened, (injection,)).start()

    def _reset(self) -> None:
        """Close the connection as a machine does that has forgotten it: RST instead of FIN."""
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _forward(self, body: bytes, pipeline: str, operation: str) -> tuple[int, Any, bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        upstream = http.client.HTTPConnection(*self.state.upstream, timeout=60)
        try:
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            content = response.read()
        except OSError:
            # The endpoint is not there: the client sees the same.
            self._reset()
            return 0, [], b""
        finally:
            upstream.close()
        if response.status == 200 and pipeline:
            self.state.note(pipeline, operation)
            if self._processes() is None:
                self.state.note(pipeline, "triggerer")
        return response.status, response.getheaders(), content

    def _answer(self, status: int, headers: Any, body: bytes) -> None:
        if not status:
            return
        with suppress(OSError):
            self._send_head(status, headers, len(body))
            if self.command != "HEAD":
                self.wfile.write(body)
            self.wfile.flush()

    def _send_head(self, status: int, headers: Any, length: int) -> None:
        self.send_response(status)
        for name, value in headers:
            if name.lower() not in _NOT_SENT_ON:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()


def _garble(what: str, body: bytes) -> tuple[list[tuple[str, str]], bytes]:
    """Headers and body of an answer that is not the service's."""
    if what == "page":
        return [("Content-Type", "text/html")], _PAGE
    bodies = {
        "empty": b"",
        "half": (body or b'{"PipelineArn": "arn:aws"}')[: max(len(body) // 2, 12)],
        "no members": b"{}",
    }
    return [("Content-Type", "application/x-amz-json-1.1")], bodies[what]


def _pipeline_of(body: bytes) -> str:
    """The pipeline that a SageMaker call is about, by name or by an execution's ARN; empty for another call."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return ""
    if not isinstance(request, dict):
        return ""
    found = _EXECUTION.search(str(request.get("PipelineExecutionArn", "")))
    return found[1] if found else str(request.get("PipelineName", "")).rpartition("/")[2]
