"""The fault table of docs/reliability.md: made from outcomes, put between the page's marks, and read back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reliability.cases import CASES, GROUPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.reliability.cases import Case
    from tests.reliability.laboratory import Outcome

BEGIN, END = "<!-- made by `python -m tests.reliability --write`: begin -->", "<!-- end -->"
MODES = {
    "sync": "waits in a worker",
    "bare": "waits in a worker, botocore's own retries off",
    "deferred": "deferred",
    "mapped": "deferred, mapped by `.expand`",
}
COLUMNS = ("Fault", "Modes", "Tasks", "Faults", "Executions", "Due", "Duplicate", "Lost", "False green", "Task ends")


def render_results(outcomes: Sequence[Outcome], *, heading: str) -> str:
    """The generated part: the conditions, the sum, and a table for each group of faults.

    :param heading: when and with what it was run, in a sentence or two.
    """
    lines = [heading, "", render_sum(outcomes), ""]
    for title, cases in GROUPS.items():
        chosen = [case for case in cases if any(one.case is case for one in outcomes)]
        if not chosen:
            continue
        lines += [f"### {title}", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
        lines += [render_row(case, [one for one in outcomes if one.case is case]) for case in chosen]
        lines.append("")
    return "\n".join(lines)


def render_sum(outcomes: Sequence[Outcome]) -> str:
    """What the run says in one sentence."""
    faults, due = sum(one.faults for one in outcomes), sum(one.case.executions for one in outcomes)
    return (
        f"**{faults} faults** in {len(outcomes)} tasks: {sum(one.executions for one in outcomes)} executions started, "
        f"{due} due; **{sum(one.duplicates for one in outcomes)} duplicates, {sum(one.lost for one in outcomes)} lost, "
        f"{sum(one.is_false_green for one in outcomes)} false green**; "
        f"{sum(bool(one.problems) for one in outcomes)} tasks ended otherwise than they must."
    )


def render_row(case: Case, outcomes: Sequence[Outcome]) -> str:
    """One fault's row."""
    cells = (
        case.title,
        ", ".join(dict.fromkeys(one.mode for one in outcomes)),
        len(outcomes),
        sum(one.faults for one in outcomes),
        sum(one.executions for one in outcomes),
        sum(one.case.executions for one in outcomes),
        sum(one.duplicates for one in outcomes),
        sum(one.lost for one in outcomes),
        sum(one.is_false_green for one in outcomes),
        case.state,
    )
    return f"| {' | '.join(map(str, cells))} |"


def read_titles(page: str) -> list[str]:
    """The faults that the page's tables name."""
    part = page.partition(BEGIN)[2].partition(END)[0]
    rows = [line for line in part.splitlines() if line.startswith("| ") and not line.startswith(f"| {COLUMNS[0]} |")]
    return [row[2:].partition(" | ")[0] for row in rows]


def wanted_titles() -> list[str]:
    """The faults there are, in the page's order."""
    return [case.title for case in CASES]


def write_results(path: Path, part: str) -> None:
    """Put the generated part between the page's marks."""
    before, _, rest = path.read_text(encoding="utf-8").partition(BEGIN)
    path.write_text(f"{before}{BEGIN}\n{part}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
