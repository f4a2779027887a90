"""``make docs-test``: run every block that can run, check the others, and print what became of each page's blocks."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.pages.blocks import PAGES, ROOT, Block, read_blocks
from tests.pages.configurations import check_configuration
from tests.pages.pythons import run_python_blocks
from tests.pages.shells import ShellRun, run_shell_blocks

PART_THAT_RUNS = 0.8


def main() -> int:
    """Run the pages that are named, or all; 0 if no block failed and enough of them ran."""
    parser = argparse.ArgumentParser(prog="python -m tests.pages", description=__doc__)
    parser.add_argument("pages", nargs="*", metavar="PAGE", help="such as docs/local.md; all by default")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="pages at a time (2)")
    arguments = parser.parse_args()
    chosen = [page for page in PAGES if not arguments.pages or page.relative_to(ROOT).as_posix() in arguments.pages]
    began = time.monotonic()
    blocks = {page: read_blocks(page) for page in chosen}
    failures: list[str] = []
    passed: set[str] = set()
    with tempfile.TemporaryDirectory(prefix="pages-") as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        runs = [
            pool.submit(_run_shell, shells, Path(folder) / page.stem)
            for page, found in blocks.items()
            if (shells := [one for one in found if one.kind == "shell" and one.reason is None])
        ]
        for page, found in blocks.items():
            _note(
                run_python_blocks([one for one in found if one.kind == "python" and one.reason is None]),
                passed,
                failures,
            )
            _note(
                {one.place: check_configuration(one) for one in found if one.kind == "configuration"}, passed, failures
            )
            del page
        for run in runs:
            _note(run.result(), passed, failures)
    ran, could = _print_table(blocks, passed)
    for failure in failures:
        print(f"\n{failure}", file=sys.stderr)
    print(f"{ran} of {could} blocks that could run do ({ran / could:.0%}), in {time.monotonic() - began:.0f} s.")
    return 1 if failures or ran < PART_THAT_RUNS * could else 0


def _run_shell(blocks: list[Block], folder: Path) -> dict[str, str | None]:
    run = run_shell_blocks(blocks, folder=folder)
    return explain(blocks, run)


def explain(blocks: list[Block], run: ShellRun) -> dict[str, str | None]:
    """What is wrong with each block by its place; None where nothing is."""
    first = next((block for block in blocks if block not in run.done), None)
    told = f"{first.place} failed:\n{run.output[-3000:]}" if first else None
    return {
        block.place: None if block in run.done else told if block is first else f"{block.place}: not reached"
        for block in blocks
    }


def _note(results: dict[str, str | None], passed: set[str], failures: list[str]) -> None:
    passed.update(place for place, fault in results.items() if fault is None)
    failures.extend(fault for fault in results.values() if fault is not None)


def _print_table(blocks: dict[Path, list[Block]], passed: set[str]) -> tuple[int, int]:
    """Print a row for each page.

    :return: how many blocks ran, and how many could.
    """
    print(f"{'page':<32}{'blocks':>7}{'run':>5}{'checked':>9}{'output':>8}{'failed':>8}  not run")
    totals = [0, 0]
    for page, found in blocks.items():
        if not found:
            continue
        runnable = [one for one in found if one.kind in ("shell", "python")]
        ran = [one for one in runnable if one.place in passed]
        checked = [one for one in found if one.kind == "configuration" and one.place in passed]
        output = [one for one in found if one.kind in ("output", "site")]
        reasons = sorted({one.reason for one in found if one.reason})
        failed = len(runnable) - len(ran) - len([one for one in runnable if one.reason])
        name = page.relative_to(ROOT).as_posix()
        row = f"{name:<32}{len(found):>7}{len(ran):>5}{len(checked):>9}{len(output):>8}{failed:>8}"
        print(f"{row}  {', '.join(reasons)}".rstrip())
        totals[0] += len(ran)
        totals[1] += len(runnable)
    return totals[0], totals[1]


if __name__ == "__main__":
    sys.exit(main())
