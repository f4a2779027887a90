"""Repairs: a sample of the rows in a whole Airflow, and what the page says of all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reliability.authors_day.table import render_table
from tests.reliability.repairs.clicks import make_row
from tests.reliability.repairs.rows import ROWS, SAMPLE
from tests.reliability.repairs.table import BEGIN, END, render_sum
from tests.reliability.repairs.workshop import Workshop
from tests.reliability.surroundings import SURROUNDINGS
from tests.system.browser import find_chromium
from tests.system.databases import find_postgres

if TYPE_CHECKING:
    from pathlib import Path


CLICKS = "clicks"
"""The row that a browser carries out."""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What was otherwise than expected in each row of the sample, all done in one Airflow at once."""
    if not find_postgres():
        pytest.skip("needs PostgreSQL: triggerer and workers of several runs write at once")
    folder = tmp_path_factory.mktemp("repairs")
    rows = [row for row in ROWS if row.key in SAMPLE]
    if find_chromium():
        rows.append(make_row(folder / "browser"))
    with SURROUNDINGS["postgresql"]() as surroundings, Workshop(folder / "workshop", surroundings) as workshop:
        return workshop.run(rows)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sample_of_repairs_comes_out_as_expected(outcomes: dict[str, str]) -> None:
    assert {key: text for key, text in outcomes.items() if key != CLICKS} == dict.fromkeys(SAMPLE, "")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_buttons_of_the_page_repair_and_stop_a_run(outcomes: dict[str, str]) -> None:
    if not find_chromium():
        pytest.skip("needs Chromium: the buttons are pressed in a browser")
    assert outcomes[CLICKS] == ""


def test_the_page_shows_each_repair_and_what_came_of_it(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0]
    assert [row.key for row in ROWS if f"| {row.what} | {row.expected} |" not in shown] == []
    assert "0 otherwise than expected" in shown


def test_a_row_that_came_out_otherwise_is_told() -> None:
    rows = ROWS[:2]
    outcomes = {rows[0].key: "", rows[1].key: "tasks: a | b"}
    assert render_table(rows, outcomes)[2].endswith("| as expected |")
    assert render_table(rows, outcomes)[3].endswith("| tasks: a \\| b |")
    assert "1 otherwise than expected" in render_sum(rows, outcomes)
