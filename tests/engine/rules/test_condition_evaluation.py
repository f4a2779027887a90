"""When conditions hold."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition import Comparison, InCondition, NotCondition, OrCondition
from airflow_sm_pipelines.engine.rules.condition_evaluation import evaluate, evaluate_all
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope

SCOPE = ResolutionScope(parameters={"Limit": 6, "Name": "b", "Flag": True}, execution={})
LIMIT: Any = {"Get": "Parameters.Limit"}


@pytest.mark.parametrize(
    ("kind", "left", "right", "holds"),
    [
        ("Equals", 6.0, LIMIT, True),
        ("Equals", "6", "6", True),
        ("Equals", {"Get": "Parameters.Flag"}, True, True),
        ("Equals", None, None, True),
        ("NotEquals", 6, LIMIT, False),
        ("GreaterThan", 6.5, LIMIT, True),
        ("GreaterThan", 6, LIMIT, False),
        ("GreaterThanOrEqualTo", 6, LIMIT, True),
        ("LessThan", 5, LIMIT, True),
        ("LessThanOrEqualTo", 6.1, LIMIT, False),
        ("GreaterThan", "b", "a", True),
        ("LessThan", "10", "9", True),
    ],
)
def test_numbers_compare_by_value_and_texts_by_code_point(kind: str, left: Any, right: Any, holds: bool) -> None:
    assert evaluate(Comparison(kind, left, right), SCOPE) is holds


@pytest.mark.parametrize(
    ("kind", "left", "right"),
    [
        ("Equals", "6", 6),
        ("Equals", True, 1),
        ("Equals", None, "x"),
        ("LessThan", "5", LIMIT),
        ("GreaterThan", True, False),
        ("GreaterThan", [1], [0]),
    ],
)
def test_values_of_different_kinds_are_not_compared_but_fail_the_step(kind: str, left: Any, right: Any) -> None:
    with pytest.raises(ResolutionError, match=f"Condition {kind}"):
        evaluate(Comparison(kind, left, right), SCOPE)


def test_in_is_membership_where_another_kind_is_no_member() -> None:
    query: Any = {"Get": "Parameters.Name"}
    assert evaluate(InCondition(query, ("a", "b")), SCOPE)
    assert not evaluate(InCondition(query, ("a", "c")), SCOPE)
    assert not evaluate(InCondition("6", (LIMIT,)), SCOPE)
    assert not evaluate(InCondition(1, (True,)), SCOPE)
    assert evaluate(InCondition("6", (LIMIT,), is_negated=True), SCOPE)


def test_not_and_or_nest_and_or_stops_at_the_first_that_holds() -> None:
    true, false = Comparison("Equals", 1, 1), Comparison("Equals", 1, 2)
    broken = Comparison("Equals", 1, "1")
    assert evaluate(NotCondition(OrCondition((false, NotCondition(true)))), SCOPE)
    assert evaluate(OrCondition((true, broken)), SCOPE)
    assert not evaluate_all([true, false, broken], SCOPE)
    assert evaluate_all([], SCOPE)
