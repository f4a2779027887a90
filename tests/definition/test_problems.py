"""How problems are reported, and how names are suggested."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.definition.problems import (
    Problem,
    ProblemCollector,
    find_near,
    list_names,
    render_problems,
    suggest,
)


@pytest.mark.parametrize(
    ("wrong", "known", "near"),
    [
        ("Trian", ["Train", "Evaluate"], "Train"),
        ("TRAIN", ["Train", "Evaluate"], "Train"),
        ("x", ["Train", "Evaluate"], ""),
        ("Register", ["Register-RepackModel-0", "Register-RegisterModel", "Reg"], "Register-RegisterModel"),
        ("model", ["Model-CreateModel"], "Model-CreateModel"),
        ("Train", [], ""),
    ],
)
def test_the_nearest_name_is_suggested(wrong: str, known: list[str], near: str) -> None:
    assert find_near(wrong, known) == near
    assert suggest(wrong, known) == (f" Did you mean '{near}'?" if near else "")


def test_a_list_of_names_is_cut() -> None:
    assert list_names([]) == "none"
    assert list_names(["a", "b"]) == "'a', 'b'"
    assert list_names(["a", "b", "c"], limit=2) == "'a', 'b' and 1 more"


def test_a_problem_is_collected_once() -> None:
    problems = ProblemCollector()
    assert not problems
    for message in ("one", "two", "one"):
        problems.add(("Steps", 0), message)
    assert problems.found == [(("Steps", 0), "one"), (("Steps", 0), "two")]


def test_one_problem_is_a_line_and_several_are_a_list() -> None:
    one, other = Problem("Steps[0]", "no name", 3, 5), Problem("", "this is not JSON")
    assert render_problems([one], name="p.json") == "p.json:3:5: Steps[0]: no name"
    assert render_problems([one, other], name="p.json") == (
        "p.json has 2 problems:\n  p.json:3:5: Steps[0]: no name\n  p.json: this is not JSON"
    )
