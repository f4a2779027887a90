"""``python -m tests.reliability.writes``: one fault in each write of each caller, and what the endpoint says then.

The results are kept as lines of JSON (``--results``), so that a run that was broken off goes on where it was.
``--write`` puts the tables into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from tests.reliability.page import describe_run
from tests.reliability.write_cases import cells
from tests.reliability.write_page import render_sum, write_tables
from tests.reliability.write_runs import CellRunner, cell_key, from_line, open_endpoint, to_line

if TYPE_CHECKING:
    from tests.reliability.write_runs import CellResult

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run; 1 if anything came out otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.writes", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="PATTERN", help="of WRITE/FAULT/CALLER: 'alias_*/kill_*/*'")
    parser.add_argument("--results", type=Path, help="keep results here, and go on with those that are there")
    parser.add_argument("--at-once", type=int, default=4, help="cells at the same time")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/reliability.md")
    given = parser.parse_args()
    kept = given.results.read_text().splitlines() if given.results and given.results.exists() else []
    results = {one.key: one for one in map(from_line, kept)}
    patterns = given.only or ["*"]
    wanted = [one for one in cells() if any(fnmatch.fnmatch(cell_key(*one), pattern) for pattern in patterns)]
    began = time.monotonic()

    def done(result: CellResult) -> None:
        results[result.key] = result
        if given.results:
            with given.results.open("a") as file:
                file.write(to_line(result) + "\n")
        for problem in result.problems:
            print(f"{result.key}: {problem}", flush=True)
        if len(results) % 25 == 0:
            print(f"{time.monotonic() - began:6.0f} s  {len(results)} cells", flush=True)

    with tempfile.TemporaryDirectory(prefix="sm-pipelines-writes-") as folder:
        os.environ.setdefault("AIRFLOW_HOME", folder)
        with open_endpoint(Path(folder, "endpoint")) as endpoint:
            left = [one for one in wanted if cell_key(*one) not in results]
            CellRunner(endpoint, Path(folder)).run(left, at_once=given.at_once, done=done)
    found = [results[cell_key(*one)] for one in cells() if cell_key(*one) in results]
    if given.write:
        heading = describe_run((time.monotonic() - began) / 60, "one local endpoint for all")
        write_tables(ROOT / "docs" / "reliability.md", found, heading=heading)
    print(render_sum(found))
    return 1 if any(one.problems for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
