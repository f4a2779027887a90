"""What ten thousand executions in the state directory cost each call, and a start: against one hundred, and none."""

from __future__ import annotations

import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine import Engine, EngineServices
from airflow_sm_pipelines.engine.jobs import Isolation, IsolationMode, JobOutcome
from benchmarks.local_endpoint import local_endpoint
from benchmarks.measure import Row, alternate
from tests.engine.filled_store import PIPELINE, execution_arn, fill_store, job_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FEW, MANY = 100, 10_000
CALLS = 50
RUNS = 20


def measure(runs: int = 2) -> list[Row]:
    """Milliseconds of each call to the engine, and seconds until an endpoint answers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for count in (FEW, MANY):
            fill_store(folder / str(count) / "engine", count)
        rows = []
        with _engine(folder / str(FEW) / "engine") as small, _engine(folder / str(MANY) / "engine") as large:
            many, few = alternate(runs, lambda: _call_all(large, MANY), lambda: _call_all(small, FEW))
        rows = [Row(f"{what}, of {MANY:,}", many[what], f"of {FEW}", few[what], "ms", runs) for what in many]
        empty, filled, moto = alternate(
            runs,
            lambda: _start(Path(tempfile.mkdtemp(dir=folder)) / "state"),
            lambda: _start(folder / str(MANY)),
            _start_moto,
        )
    return [
        *rows,
        Row("start an endpoint, empty", empty["seconds"], "moto's server", moto["seconds"], "s", runs),
        Row(f"start an endpoint with {MANY:,}", filled["seconds"], "empty", empty["seconds"], "s", runs),
    ]


@contextmanager
def _engine(state_dir: Path) -> Iterator[Engine]:
    """An engine whose jobs end at once."""
    services = EngineServices(
        region="us-east-1",
        account_id="123456789012",
        endpoint_url="http://127.0.0.1:1",
        cache_dir=state_dir / "cache",
        s3=None,  # type: ignore[arg-type]
        write_logs=lambda group, stream, lines: None,
        find_function=lambda name: None,
        isolation=Isolation(IsolationMode.PATHS, ""),
        run_job=lambda spec, context, stop: JobOutcome("Completed"),
    )
    engine = Engine(state_dir, services)
    engine.start()
    yield engine
    engine.stop()


def _call_all(engine: Engine, count: int) -> Mapping[str, float]:
    """The median milliseconds of each call."""
    tokens: dict[str, Any] = {}

    def next_page() -> None:
        # Every call goes one page further.
        request = {"PipelineName": PIPELINE, "MaxResults": 20, **tokens}
        answer = engine.call("ListPipelineExecutions", request)
        tokens.clear()
        tokens.update({key: value for key, value in answer.items() if key == "NextToken"})

    def run() -> None:
        arn = engine.call("StartPipelineExecution", {"PipelineName": PIPELINE})["PipelineExecutionArn"]
        while (
            engine.call("DescribePipelineExecution", {"PipelineExecutionArn": arn})["PipelineExecutionStatus"]
            == "Executing"
        ):
            time.sleep(0.0005)

    arn = {"PipelineExecutionArn": execution_arn(count // 2)}
    calls = {
        "describe an execution": lambda: engine.call("DescribePipelineExecution", arn),
        "list its steps": lambda: engine.call("ListPipelineExecutionSteps", arn),
        "list a page of executions": next_page,
        "describe a job": lambda: engine.call("DescribeProcessingJob", {"ProcessingJobName": job_name(count // 2)}),
        "list failed jobs": lambda: engine.call("ListProcessingJobs", {"StatusEquals": "Failed"}),
        "start and finish three steps": run,
    }
    found = {}
    for what, call in calls.items():
        seconds = []
        for _ in range(RUNS if call is run else CALLS):
            started = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - started)
        found[what] = statistics.median(seconds) * 1000
    return found


def _start(state_dir: Path) -> Mapping[str, float]:
    with local_endpoint(state_dir) as endpoint:
        return {"seconds": endpoint.start_seconds}


def _start_moto() -> Mapping[str, float]:
    """Seconds until moto's own server takes a connection."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    started = time.perf_counter()
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ) as process:
        try:
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                except ConnectionRefusedError:
                    assert process.poll() is None, "moto's server does not start"
                    time.sleep(0.005)
                else:
                    return {"seconds": time.perf_counter() - started}
        finally:
            process.send_signal(signal.SIGTERM)
