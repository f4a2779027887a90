"""The page's table of an author's day: it has each row that there is, and every one came out as expected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.reliability.authors_day.rows import ROWS
from tests.reliability.authors_day.table import BEGIN, END, render_table, write_table

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_shows_each_row_and_that_it_came_out_as_expected(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    shown = [line for line in page.partition(BEGIN)[2].partition(END)[0].splitlines() if line.startswith("|")]
    assert shown == render_table(ROWS, dict.fromkeys((row.key for row in ROWS), ""))


def test_a_run_of_some_rows_replaces_these_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\n{END}\nafter\n")
    rows = ROWS[:2]
    write_table(page, render_table(rows, {rows[0].key: "", rows[1].key: "wrong"}), heading="Run one.", is_whole=True)
    write_table(page, render_table(rows[1:], {rows[1].key: ""}), heading="Run two.", is_whole=False)
    lines = page.read_text().splitlines()
    assert [line for line in lines if line.startswith("|")] == render_table(rows, {row.key: "" for row in rows})
    assert [line for line in lines if line.startswith("Run ")] == [
        "Run one.",
        f"Run two. This run gave: {rows[1].what}.",
    ]
    assert (lines[0], lines[-1]) == ("before", "after")
