"""The fault table: a sample of it under a real Airflow, one of an author's day in the same, and the page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.reliability.authors_day.office import Day, copy_dag_file
from tests.reliability.authors_day.rows import ROWS
from tests.reliability.authors_day.rows import SAMPLE as DAY_SAMPLE
from tests.reliability.cases import CASES
from tests.reliability.laboratory import Laboratory, choose
from tests.reliability.page import BEGIN, END, make_rows, read_rows, render_results, render_sum, wanted_titles
from tests.reliability.surroundings import SURROUNDINGS
from tests.system.databases import find_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.reliability.laboratory import Outcome

SAMPLE = list(choose(CASES, is_sample=True))


@pytest.fixture(scope="module")
def day_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the DAG file of an author's day is, and its flags."""
    folder = tmp_path_factory.mktemp("day")
    (folder / "dags").mkdir()
    copy_dag_file(folder / "dags")
    return folder


@pytest.fixture(scope="module")
def tried(day_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Laboratory, list[Outcome]]]:
    """A whole Airflow, still alive, and what came of the sample of faults in it."""
    chosen = os.environ.get("SM_PIPELINES_TEST_RELIABILITY_ON") or "postgresql"
    if chosen == "postgresql" and not find_postgres():
        pytest.skip(
            "needs PostgreSQL: many tasks at once, with faults among them, are more than SQLite's one writer can take"
        )
    with (
        SURROUNDINGS[chosen]() as surroundings,
        Laboratory(
            tmp_path_factory.mktemp("reliability") / "laboratory",
            seed=1,
            surroundings=surroundings,
            examples=day_folder / "dags",
        ) as laboratory,
    ):
        yield laboratory, laboratory.run(SAMPLE)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_whatever_dies_one_intention_starts_one_execution_and_the_task_tells_the_truth(
    tried: tuple[Laboratory, list[Outcome]], record_property: Callable[[str, object], None]
) -> None:
    outcomes = tried[1]
    record_property("sum", render_sum(make_rows(outcomes)))
    assert [problem for one in outcomes for problem in one.problems] == []
    assert (sum(one.duplicates for one in outcomes), sum(one.lost for one in outcomes)) == (0, 0)
    assert not any(one.is_false_green for one in outcomes)
    assert sum(one.faults for one in outcomes) >= 40


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sample_of_an_authors_day_comes_out_as_expected(
    tried: tuple[Laboratory, list[Outcome]], day_folder: Path
) -> None:
    laboratory = tried[0]
    with Day(laboratory.airflow, laboratory.endpoint.url, folder=day_folder) as day:
        outcomes = day.run([row for row in ROWS if row.key in DAY_SAMPLE])
    assert outcomes == dict.fromkeys(DAY_SAMPLE, "")


def test_the_page_shows_each_fault_there_is_and_none_that_went_wrong(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = read_rows(page)
    assert list(rows) == wanted_titles()
    assert render_sum(rows) in page
    assert "0 duplicates, 0 lost, 0 false green" in render_sum(rows)
    assert sum(int(row[3]) for row in rows.values()) >= 200
    assert not any("otherwise" in row[9] for row in rows.values())


def test_what_the_page_shows_is_what_is_read_back() -> None:
    rows = {title: [title, "sync", "1", "2", "1", "1", "0", "0", "0", "success"] for title in wanted_titles()}
    page = f"before {BEGIN}\n{render_results(rows, headings=['Run today.'])}\n{END} after"
    assert read_rows(page) == rows
    assert render_sum(rows) in page


def test_a_whole_run_makes_two_hundred_faults() -> None:
    made = sum(
        count * (case.done_by_hand + sum(injection.times for injection in case.injections))
        for case, _, count in choose(CASES, is_sample=False)
    )
    assert made >= 200
