"""The campaign of endings: every kind in every mode, idle and busy; what is kept of each, and what the page says."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from random import Random
from typing import TYPE_CHECKING

from tests.reliability.endings import (
    AT_ONCE,
    BEGIN,
    END,
    KINDS,
    Ending,
    kind_of,
    make_groups,
    read_endings,
    render_sum,
    render_table,
)

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = Ending("idle00-failed-sync-0", "failed", "idle", "sync", 0, 0, False, 2.0, 1.0, ())


def test_there_are_five_hundred_endings_of_each_kind_idle_and_busy() -> None:
    groups = make_groups(Random(1))
    assert sum(count for _, _, count in groups) >= 500
    assert {(kind_of(case), case.key[:4]) for case, _, _ in groups} == {
        (kind, load) for kind in KINDS for load in AT_ONCE
    }
    assert len({(case.key, mode) for case, mode, _ in groups}) == len(groups)


def test_what_is_kept_is_read_back_and_the_last_word_counts(tmp_path: Path) -> None:
    path = tmp_path / "results"
    late = replace(RIGHT, problems=("x: orphan: its execution ended 61 s after its task",), seconds=61.0)
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in (RIGHT, late)))
    assert read_endings(path) == {RIGHT.key: late}
    assert read_endings(tmp_path / "none") == read_endings(None) == {}


def test_an_orphan_is_counted_and_is_nothing_else() -> None:
    late = replace(RIGHT, problems=("x: orphan: its execution ended 61 s after its task",), seconds=61.0)
    wrong = replace(RIGHT, lost=1, problems=("x: task: failed instead of success",))
    assert render_sum([RIGHT, late, wrong]) == (
        "**3 endings: 0 duplicates, 1 lost, 1 orphans, 0 false green**; 1 otherwise than due."
    )
    assert "| marked failed | 3 | 0 | 0 | 1 | 1 | 0 | 1 | 2 s | 61 s |" in render_table(
        [RIGHT, late, wrong], heading=""
    )


def test_the_page_says_what_came_of_the_endings(repository: Path) -> None:
    page = (repository / "docs" / "reliability.md").read_text(encoding="utf-8")
    shown = page.partition(BEGIN)[2].partition(END)[0]
    assert all(f"| {title} |" in shown for title in KINDS.values())
    assert "endings: 0 duplicates, 0 lost, 0 orphans, 0 false green**" in shown
