"""Many steps and many executions at once: pipelines of a thousand steps, two hundred executions, and their memory."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.local_endpoint import (
    WORKERS,
    LocalEndpoint,
    image_python,
    local_endpoint,
    processing_step,
    run_processes,
)
from benchmarks.measure import Row

STEPS = 1000
EXECUTIONS = 200
OPEN = 1000
CODE = "pass"


def measure() -> list[Row]:
    """Milliseconds of each step, and what an execution takes of memory, while it is open and for good."""
    python = image_python()
    with tempfile.TemporaryDirectory() as folder, local_endpoint(Path(folder) / "state") as endpoint:
        endpoint.create("small", [processing_step("Step", CODE)])
        endpoint.create("wide", [processing_step(f"Step{n}", CODE) for n in range(STEPS)])
        for name, length in (("deep", STEPS), ("shallow", STEPS // 10)):
            chain = [processing_step(f"Step{n}", CODE, after=f"Step{n - 1}" if n else None) for n in range(length)]
            endpoint.create(name, chain)
        endpoint.run("small")
        shallow = endpoint.run("shallow") * 10
        deep = endpoint.run("deep")
        one_by_one = run_processes(python, CODE, count=STEPS // 4) * 4
        wide = endpoint.run("wide", parallel=WORKERS)
        at_once = run_processes(python, CODE, count=STEPS // 4, at_once=WORKERS) * 4
        before = endpoint.kilobytes()
        many = _run_many(endpoint, EXECUTIONS) * STEPS / EXECUTIONS
        held = max(0.0, endpoint.kilobytes() - before) / EXECUTIONS
        still_open = _memory_of_open(endpoint)
    processes = f"the processes, {WORKERS} at once"
    figures = [
        (f"{STEPS:,} steps of `{CODE}` in a chain, each", deep, "the processes", one_by_one),
        (f"{STEPS:,} steps of `{CODE}` in a chain, each", deep, f"in a chain of {STEPS // 10}", shallow),
        (f"{STEPS:,} steps of `{CODE}` side by side, each", wide, processes, at_once),
        (f"{EXECUTIONS} executions of one such step at once, each", many, processes, at_once),
    ]
    return [
        *(Row(what, ours * 1000 / STEPS, name, other * 1000 / STEPS, "ms", 1) for what, ours, name, other in figures),
        Row("memory of an execution that is open", still_open, "kept of one that ended", held, "KB", 1),
    ]


def _run_many(endpoint: LocalEndpoint, count: int) -> float:
    started = time.perf_counter()
    arns = [endpoint.start("small", parallel=1) for _ in range(count)]
    for arn in arns:
        endpoint.finish(arn)
    return time.perf_counter() - started


def _memory_of_open(endpoint: LocalEndpoint) -> float:
    """Kilobytes of each of many executions whose step waits for its turn."""
    endpoint.create("waits", [processing_step("Step", "import time; time.sleep(3600)")])
    before = endpoint.kilobytes()
    for _ in range(OPEN):
        endpoint.start("waits", parallel=1)
    return (endpoint.kilobytes() - before) / OPEN
