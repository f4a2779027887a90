"""The table of repairs in docs/reliability.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reliability.page import put_between

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.reliability.repairs.workshop import Row

BEGIN, END = "<!-- made by `python -m tests.reliability.repairs --write`: begin -->", "<!-- repairs: end -->"


def render_table(rows: Sequence[Row], outcomes: Mapping[str, str]) -> list[str]:
    """The table's lines."""
    lines = ["| What is done | Expected | Outcome |", "|---|---|---|"]
    for row in rows:
        outcome = outcomes[row.key].replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {row.what} | {row.expected} | {outcome or 'as expected'} |")
    return lines


def render_sum(rows: Sequence[Row], outcomes: Mapping[str, str]) -> str:
    """What came of the rows, in one sentence."""
    actions = sum(row.actions for row in rows)
    return f"**{len(rows)} rows, {actions} actions; {sum(map(bool, outcomes.values()))} otherwise than expected.**"


def write_table(page: Path, table: Sequence[str], *, heading: str) -> None:
    """Put the table between the page's marks."""
    put_between(page, BEGIN, END, "\n".join([heading, "", *table]))
