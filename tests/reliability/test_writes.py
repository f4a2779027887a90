"""One fault in each write: a sample of the cells beside a real endpoint, and the page that shows them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.reliability.write_cases import FAULTS, WRITES, cells
from tests.reliability.write_page import ENDINGS, GROUPS, read_matrix, render_sum, render_tables
from tests.reliability.write_runs import CellResult, CellRunner, cell_key, from_line, open_endpoint, to_line

if TYPE_CHECKING:
    from pathlib import Path

SAMPLE = [
    (write, FAULTS[(5 * number + 3) % len(FAULTS)], write.callers[number % len(write.callers)])
    for number, write in enumerate(WRITES)
]
"""A cell of each write, with faults and callers in turn."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_write_with_a_fault_is_done_once_and_its_caller_tells_the_truth(tmp_path: Path) -> None:
    found: list[CellResult] = []
    with open_endpoint(tmp_path / "endpoint") as endpoint:
        CellRunner(endpoint, tmp_path / "cells").run(SAMPLE, at_once=4, done=found.append)
    assert [f"{one.key}: {problem}" for one in found for problem in one.problems] == []
    assert len(found) == len(WRITES)


def test_the_page_shows_each_write_with_each_fault_and_none_that_went_wrong(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    matrix = read_matrix(page)
    assert [len(row) for row in matrix] == [len(GROUPS)] * len(FAULTS)
    assert all(int(count) > 0 for row in matrix for count in row)
    assert "**0 duplicates, 0 lost, 0 false green, 0 orphans**; 0 otherwise than due." in page


def test_a_cell_that_went_wrong_is_counted_and_seen() -> None:
    write, fault, caller = cells()[0]
    problems = ("duplicate: 2 versions instead of 1", "raw KeyError: x")
    wrong = CellResult(cell_key(write, fault, caller), write.key, fault.key, caller, ENDINGS[1], problems, ())
    assert from_line(to_line(wrong)) == wrong
    assert render_sum([wrong]).endswith("**1 duplicates, 0 lost, 0 false green, 0 orphans**; 1 otherwise than due.")
    assert f"| {fault.title} | 1, 1 wrong | 0 |" in render_tables([wrong], heading="Run today.")


def test_each_write_meets_a_dozen_faults_before_or_after_it_was_done() -> None:
    assert len({fault.key.rpartition("_")[0] or fault.key for fault in FAULTS}) >= 12
    assert len({cell_key(*one) for one in cells()}) == len(cells())
