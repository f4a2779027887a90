"""``python -m tests.reliability``: put every fault into tasks of a real Airflow, and say what came of it.

``--write`` puts the table into docs/reliability.md; with ``--only``, the rows of these faults.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.reliability.cases import CASES
from tests.reliability.laboratory import Laboratory, choose
from tests.reliability.page import describe_run, make_rows, render_sum, write_results
from tests.reliability.surroundings import SURROUNDINGS

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run; 1 if anything came out otherwise than it must."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--on", choices=SURROUNDINGS, default="postgresql", help="database and executor")
    parser.add_argument("--sample", action="store_true", help="the few that the test suite takes")
    parser.add_argument("--only", nargs="+", metavar="FAULT", help="these faults only, by key")
    parser.add_argument("--seed", type=int, default=20261123, help="of the random moments")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    cases = [case for case in CASES if not given.only or case.key in given.only]
    chosen = list(choose(cases, is_sample=given.sample))
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    with ExitStack() as closing:
        folder = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-reliability-")))
        surroundings = closing.enter_context(SURROUNDINGS[given.on]())
        laboratory = Laboratory(folder / "laboratory", seed=given.seed, surroundings=surroundings, tell=tell)
        outcomes = closing.enter_context(laboratory).run(chosen)
    minutes = (time.monotonic() - began) / 60
    problems = [problem for outcome in outcomes for problem in outcome.problems]
    heading = describe_run(minutes, f"{surroundings.name}; seed {given.seed}")
    if given.write:
        is_whole = not (given.only or given.sample)
        write_results(ROOT / "docs" / "reliability.md", make_rows(outcomes), heading=heading, is_whole=is_whole)
    print("", heading, render_sum(make_rows(outcomes)), *problems, sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
