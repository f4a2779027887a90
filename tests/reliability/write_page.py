"""The tables of writes and faults in docs/reliability.md: made from results, put between the page's marks."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.reliability.page import put_between
from tests.reliability.write_cases import FAULTS, WRITES, cells

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.reliability.write_runs import CellResult

BEGIN = "<!-- made by `python -m tests.reliability.writes --write`: begin -->"
END = "<!-- end of the writes -->"
ENDINGS = ("at once", "after a retry", "after a clear", "given again")
KINDS = ("duplicate", "lost", "false green", "orphan")
GROUPS = tuple(dict.fromkeys(write.key.partition("_")[0] for write in WRITES))


def count_kinds(results: Sequence[CellResult]) -> Counter[str]:
    """How many problems there are of each kind; others count as ``"otherwise"``."""
    problems = [problem for one in results for problem in one.problems]
    return Counter(next((kind for kind in KINDS if problem.startswith(kind)), "otherwise") for problem in problems)


def render_sum(results: Sequence[CellResult]) -> str:
    """What the results say in one sentence."""
    found = count_kinds(results)
    return (
        f"**{len(results):,} of {len(cells()):,} cells**, each with one fault: "
        f"**{found['duplicate']} duplicates, {found['lost']} lost, {found['false green']} false green, "
        f"{found['orphan']} orphans**; {found['otherwise']} otherwise than due."
    )


def render_tables(results: Sequence[CellResult], *, heading: str) -> str:
    """The generated part: when and how it was run, the sum, the cells of each write and fault, and how they ended."""
    lines = [heading, "", render_sum(results), ""]
    lines += [f"| Fault | {' | '.join(GROUPS)} |", f"|---|{'---:|' * len(GROUPS)}"]
    for fault in FAULTS:
        cells = [[one for one in results if one.fault == fault.key and _group(one) == group] for group in GROUPS]
        lines.append(f"| {fault.title} | {' | '.join(map(_count, cells))} |")
    columns = ("Write", "Callers", "Cells", *(f"Done {ending}" for ending in ENDINGS), *map(str.capitalize, KINDS))
    lines += ["", f"| {' | '.join(columns)} |", f"|---|---|{'---:|' * (len(columns) - 2)}"]
    for write in WRITES:
        found = [one for one in results if one.write == write.key]
        if not found:
            continue
        endings, kinds = Counter(one.ending for one in found), count_kinds(found)
        counts = (len(found), *(endings[one] for one in ENDINGS), *(kinds[one] for one in KINDS))
        callers = len({one.caller for one in found})
        lines.append(f"| {write.title} | {callers} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def read_matrix(page: str) -> list[list[str]]:
    """The cells' counts by fault and write, as the page shows them."""
    lines = page.partition(BEGIN)[2].partition(END)[0].splitlines()
    titles = {fault.title for fault in FAULTS}
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [row[1:] for row in rows if row[0] in titles]


def write_tables(path: Path, results: Sequence[CellResult], *, heading: str) -> None:
    """Put the tables between the page's marks."""
    put_between(path, BEGIN, END, render_tables(results, heading=heading))


def _group(result: CellResult) -> str:
    return result.write.partition("_")[0]


def _count(cells: Sequence[CellResult]) -> str:
    wrong = sum(bool(one.problems) for one in cells)
    return f"{len(cells)}, {wrong} wrong" if wrong else str(len(cells))
