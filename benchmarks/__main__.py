"""Run the benchmarks named on the command line, or all; print one table and write ``results.json`` beside this file."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

NAMES = ("parse", "compile", "warm_builds", "engine", "scale", "store", "job_log", "watch", "steps")


def main(names: list[str]) -> int:
    """Measure, print, write."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"No benchmark {', '.join(unknown)}; there are {', '.join(NAMES)}.", file=sys.stderr)
        return 2
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="sm-pipelines-bench-")
    # Every process starts from compiled modules, as an installed package does: no figure is about compiling source.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PYTHONPYCACHEPREFIX"] = tempfile.mkdtemp(prefix="sm-pipelines-bench-pycache-")
    rows = [row for name in names or NAMES for row in import_module(f"benchmarks.{name}").measure()]
    print("| what | ours | against | theirs | theirs / ours |")
    print("|---|---:|---|---:|---:|")
    for row in rows:
        ours, other = (f"{value:.3g} {row.unit}".strip() for value in (row.ours, row.other))
        print(f"| {row.what} | {ours} | {row.other_name} | {other} | {row.ratio:.1f} |")
    results = {
        "python": platform.python_version(),
        "system": platform.system(),
        "processors": os.cpu_count(),
        "memory_gigabytes": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
    }
    if not names:
        (Path(__file__).parent / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
