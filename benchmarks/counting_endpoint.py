"""A SageMaker on loopback that knows only executions which end when told, and counts every call.

Asyncio, so that a thousand connections cost it little; written for the benchmark, not for correctness tests.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "arn:aws:sagemaker:us-east-1:123456789012:pipeline"
PAGE = 100


class CountingEndpoint:
    """Executions of some pipelines, each of which ends at its moment.

    :param pipelines: how many.
    :param executions: how many over all.
    :param calls_per_second: beyond it, calls are answered with ThrottlingException; None for no limit.
    :ivar changes: when an execution begins another step, by execution, as seconds of ``time.time``.
    :ivar looks: when an execution's steps were asked for, by execution.
    :ivar moments: when any call came.
    """

    def __init__(self, *, pipelines: int, executions: int, calls_per_second: float | None) -> None:
        self.arns = [f"{PREFIX}/pipeline-{n % pipelines}/execution/e{n:011d}" for n in range(executions)]
        self.ends: dict[str, float] = dict.fromkeys(self.arns, float("inf"))
        self.calls: Counter[str] = Counter()
        self.throttled = 0
        self.looked_at: set[str] = set()
        self.changes: dict[str, list[float]] = {}
        self.looks: dict[str, list[float]] = {arn: [] for arn in self.arns}
        self.moments: list[float] = []
        self._limit = calls_per_second
        self._tokens, self._at = calls_per_second or 0.0, time.monotonic()
        self._by_pipeline: dict[str, list[str]] = {}
        for arn in self.arns:
            self._by_pipeline.setdefault(arn.split("/")[1], []).insert(0, arn)
        self._started = time.time()

    def answer(self, operation: str, request: Mapping[str, Any]) -> tuple[int, dict[str, Any]]:
        """One call."""
        self.calls[operation] += 1
        self.moments.append(time.time())
        if self._limit is not None:
            now = time.monotonic()
            self._tokens = min(self._limit, self._tokens + (now - self._at) * self._limit)
            self._at = now
            if self._tokens < 1:
                self.throttled += 1
                return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
            self._tokens -= 1
        if operation == "ListPipelineExecutions":
            arns = self._by_pipeline[request["PipelineName"].rpartition("/")[2]]
            start = int(request.get("NextToken") or 0)
            states = [self._state(arn) for arn in arns[start : start + PAGE]]
            page: dict[str, Any] = {"PipelineExecutionSummaries": states}
            if start + PAGE < len(arns):
                page["NextToken"] = str(start + PAGE)
            return 200, page
        arn = request["PipelineExecutionArn"]
        if operation == "DescribePipelineExecution":
            state = self._state(arn)
            state["CreationTime"] = state.pop("StartTime")
            return 200, state
        now = self.moments[-1]
        self.looks[arn].append(now)
        begun = [self._started, *(moment for moment in self.changes.get(arn, ()) if moment <= now)]
        steps = [
            {"StepName": f"Step{number}", "StepStatus": "Succeeded", "StartTime": moment, "EndTime": moment}
            for number, moment in enumerate(begun)
        ]
        del steps[-1]["EndTime"]
        steps[-1]["StepStatus"] = "Executing"
        return 200, {"PipelineExecutionSteps": steps}

    def _state(self, arn: str) -> dict[str, Any]:
        self.looked_at.add(arn)
        status = "Succeeded" if time.time() >= self.ends[arn] else "Executing"
        return {"PipelineExecutionArn": arn, "StartTime": self._started, "PipelineExecutionStatus": status}


@contextmanager
def open_endpoint(endpoint: CountingEndpoint) -> Iterator[str]:
    """Serve it from a thread of its own; gives the URL."""
    ready = threading.Event()
    address: list[int] = []
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                name = fields.get("x-amz-target", "").rpartition(".")[2]
                operation = next((one for one in _OPERATIONS if one.lower() == name), name)
                status, answer = endpoint.answer(operation, json.loads(body or b"{}"))
                data = json.dumps(answer).encode()
                writer.write(
                    f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\n"
                    f"Content-Length: {len(data)}\r\n\r\n".encode()
                    + data
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=4096)
        address.append(server.sockets[0].getsockname()[1])
        ready.set()
        await stop.wait()
        server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(main(),), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield f"http://127.0.0.1:{address[0]}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


_OPERATIONS = ("ListPipelineExecutions", "DescribePipelineExecution", "ListPipelineExecutionSteps")
