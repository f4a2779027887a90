"""What the local engine adds to a step: Processing steps, against the same processes without it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.local_endpoint import image_python, local_endpoint, processing_step, run_processes
from benchmarks.measure import Row, alternate

GOAL_PERCENT = 10.0
PROGRAMS = (("pass", 40), ("import csv, json", 40), ("import pandas", 5))


def measure(runs: int = 3) -> list[Row]:
    """Milliseconds of one step and of one bare process, one after the other, and the engine's share."""
    python = image_python()
    rows = []
    with tempfile.TemporaryDirectory() as folder, local_endpoint(Path(folder) / "state") as endpoint:
        for number, (code, count) in enumerate(PROGRAMS):
            name = f"program-{number}"
            steps = [processing_step(f"Step{index}", code) for index in range(count)]
            endpoint.create(name, steps)
            ours, bare = alternate(
                runs,
                lambda name=name, count=count: {"ms": endpoint.run(name) * 1000 / count},
                lambda code=code, count=count: {"ms": run_processes(python, code, count=count) * 1000 / count},
            )
            rows.append(Row(f"a step that runs `{code}`", ours["ms"], "the process", bare["ms"], "ms", runs))
            share = 100 * (ours["ms"] - bare["ms"]) / ours["ms"]
            rows.append(Row("the engine's share of it", share, "goal", GOAL_PERCENT, "%", runs))
    return rows
