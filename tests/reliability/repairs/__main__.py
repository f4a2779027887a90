"""``python -m tests.reliability.repairs``: repair pipelines in a whole Airflow by clearing tasks of their steps.

``--write`` puts the table into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from tests.reliability.authors_day.table import render_table, write_table
from tests.reliability.repairs.rows import ROWS, SAMPLE
from tests.reliability.repairs.table import BEGIN, END, render_sum
from tests.reliability.repairs.workshop import Workshop
from tests.reliability.surroundings import SURROUNDINGS

if TYPE_CHECKING:
    from tests.reliability.repairs.workshop import Row

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Run; 1 if anything came out otherwise than expected."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.repairs", description=__doc__)
    parser.add_argument("--on", choices=SURROUNDINGS, default="postgresql", help="database and executor")
    parser.add_argument("--only", nargs="+", metavar="ROW", help="these rows only, by key")
    parser.add_argument("--rounds", type=int, default=1, help="how often to do each row, all rounds at once")
    parser.add_argument("--sample", action="store_true", help="the few that the test suite takes")
    parser.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="a new folder to work in, which stays")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    wanted = SAMPLE if given.sample else given.only
    once = [row for row in ROWS if not wanted or row.key in wanted]
    rows = [replace(row, key=key) for row in once for key in _keys_of(row, given.rounds)]
    began = time.monotonic()

    def tell(line: str) -> None:
        print(f"{time.monotonic() - began:6.0f} s  {line}", flush=True)

    with ExitStack() as closing:
        folder = given.keep or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="sm-pipelines-repairs-")))
        surroundings = closing.enter_context(SURROUNDINGS[given.on]())
        outcomes = closing.enter_context(Workshop(folder / "workshop", surroundings, tell=tell)).run(rows)
    heading = (
        f"Run on {datetime.now(timezone.utc):%Y-%m-%d} in {(time.monotonic() - began) / 60:.0f} minutes: Airflow "
        f"{version('apache-airflow')}; {surroundings.name}. {render_sum(rows, outcomes)}"
    )
    found = {row.key: "; ".join(filter(None, (outcomes[key] for key in _keys_of(row, given.rounds)))) for row in once}
    table = render_table(once, found)
    if given.write:
        page = ROOT / "docs" / "reliability.md"
        write_table(page, table, heading=heading, is_whole=len(once) == len(ROWS), marks=(BEGIN, END))
    print("", heading, *table, sep="\n")
    return 1 if any(outcomes.values()) else 0


def _keys_of(row: Row, rounds: int) -> list[str]:
    return [row.key, *(f"{row.key}-{number}" for number in range(1, rounds))]


if __name__ == "__main__":
    sys.exit(main())
