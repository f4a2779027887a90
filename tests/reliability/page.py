"""The fault table of docs/reliability.md: made from outcomes, put between the page's marks, and read back."""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from importlib.metadata import version
from typing import TYPE_CHECKING

from tests.reliability.cases import CASES, GROUPS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.reliability.cases import Case
    from tests.reliability.laboratory import Outcome

BEGIN, END = "<!-- made by `python -m tests.reliability --write`: begin -->", "<!-- end -->"
COLUMNS = ("Fault", "Modes", "Tasks", "Faults", "Executions", "Due", "Duplicate", "Lost", "False green", "Task ends")
COUNTED = slice(2, 9)


def make_rows(outcomes: Sequence[Outcome]) -> dict[str, list[str]]:
    """The table's cells, by the fault's title."""
    rows = {}
    for case in CASES:
        found = [one for one in outcomes if one.case is case]
        if found:
            rows[case.title] = make_row(case, found)
    return rows


def make_row(case: Case, outcomes: Sequence[Outcome]) -> list[str]:
    """One fault's cells."""
    otherwise = sum(bool(one.problems) for one in outcomes)
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
        f"{case.state}, {otherwise} otherwise than due" if otherwise else case.state,
    )
    return [str(cell) for cell in cells]


def render_sum(rows: Mapping[str, Sequence[str]]) -> str:
    """What the rows say in one sentence."""
    tasks, faults, executions, due, duplicates, lost, green = (
        sum(int(row[column]) for row in rows.values()) for column in range(COUNTED.start, COUNTED.stop)
    )
    return (
        f"**{faults} faults** in {tasks} tasks: {executions} executions started, {due} due; "
        f"**{duplicates} duplicates, {lost} lost, {green} false green**."
    )


def render_results(rows: Mapping[str, Sequence[str]], *, headings: Sequence[str]) -> str:
    """The generated part: the conditions, the sum, and a table for each group of faults.

    :param headings: when and with what it was run, a paragraph for each run.
    """
    lines = [line for heading in headings for line in (heading, "")]
    lines += [render_sum(rows), ""]
    for title, cases in GROUPS.items():
        chosen = [rows[case.title] for case in cases if case.title in rows]
        if chosen:
            lines += [f"### {title}", "", f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
            lines += [f"| {' | '.join(row)} |" for row in chosen]
            lines.append("")
    return "\n".join(lines)


def read_rows(page: str) -> dict[str, list[str]]:
    """The rows of the page's tables."""
    found = [line for line in _generated(page).splitlines() if line.startswith("| ")]
    rows = [line.strip("| ").split(" | ") for line in found]
    return {row[0]: row for row in rows if row[0] != COLUMNS[0]}


def read_headings(page: str) -> list[str]:
    """What the page says of its runs."""
    return [line for line in _generated(page).splitlines() if line.startswith("Run ")]


def wanted_titles() -> list[str]:
    """The faults there are, in the page's order."""
    return [case.title for case in CASES]


def write_results(path: Path, rows: Mapping[str, Sequence[str]], *, heading: str, is_whole: bool) -> None:
    """Put rows between the page's marks.

    :param is_whole: whether they replace all; otherwise only those of the same faults, and the page says so.
    """
    page = path.read_text(encoding="utf-8")
    headings = [heading] if is_whole else [*read_headings(page), f"{heading} This run gave: {'; '.join(rows)}."]
    part = render_results(rows if is_whole else {**read_rows(page), **rows}, headings=headings)
    put_between(path, BEGIN, END, part)


def put_between(path: Path, begin: str, end: str, part: str) -> None:
    """Put a generated part between two marks of a page."""
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    path.write_text(f"{before}{begin}\n{part}\n{end}{rest.partition(end)[2]}", encoding="utf-8")


def describe_run(minutes: float, surroundings: str) -> str:
    """When something was run, and with what."""
    return (
        f"Run on {datetime.now(timezone.utc):%Y-%m-%d} in {minutes:.0f} minutes: Airflow {version('apache-airflow')}, "
        f"amazon provider {version('apache-airflow-providers-amazon')}, boto3 {version('boto3')}, "
        f"Python {platform.python_version()}; {surroundings}."
    )


def _generated(page: str) -> str:
    return page.partition(BEGIN)[2].partition(END)[0]
