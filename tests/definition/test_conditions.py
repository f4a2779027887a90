"""Conditions are read in both spellings, and written back in the one they had."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition.conditions import (
    Comparison,
    Condition,
    InCondition,
    NotCondition,
    OrCondition,
    read_condition,
)
from airflow_sm_pipelines.definition.object_reader import ObjectReader
from airflow_sm_pipelines.definition.problems import ProblemCollector

EQUALS: Any = {"Type": "Equals", "LeftValue": {"Get": "Parameters.A"}, "RightValue": 1}
GREATER: Any = {"Type": "GreaterThan", "LeftValue": 2, "RightValue": {"Get": "Parameters.B"}}


def read(written: Any) -> tuple[Condition | None, list[str]]:
    problems = ProblemCollector()
    condition = read_condition(ObjectReader(written, (), problems), problems)
    return condition, [message for _, message in problems.found]


@pytest.mark.parametrize(
    ("written", "condition", "operands"),
    [
        (
            EQUALS,
            Comparison("Equals", {"Get": "Parameters.A"}, 1),
            [(("LeftValue",), {"Get": "Parameters.A"}), (("RightValue",), 1)],
        ),
        (
            {"Type": "In", "QueryValue": "a", "Values": ["a", "b"]},
            InCondition("a", ("a", "b")),
            [(("QueryValue",), "a"), (("Values", 0), "a"), (("Values", 1), "b")],
        ),
        (
            {"Type": "NotIn", "Value": "a", "In": ["b"]},
            InCondition("a", ("b",), is_negated=True, uses_schema_keys=True),
            [(("Value",), "a"), (("In", 0), "b")],
        ),
        (
            {"Type": "Not", "Condition": GREATER},
            NotCondition(Comparison("GreaterThan", 2, {"Get": "Parameters.B"})),
            [(("Condition", "LeftValue"), 2), (("Condition", "RightValue"), {"Get": "Parameters.B"})],
        ),
        (
            {"Type": "Or", "Conditions": [{"Type": "LessThan", "LeftValue": 1, "RightValue": 2}]},
            OrCondition((Comparison("LessThan", 1, 2),)),
            [(("Conditions", 0, "LeftValue"), 1), (("Conditions", 0, "RightValue"), 2)],
        ),
    ],
    ids=["comparison", "in", "not in, by the schema", "not", "or"],
)
def test_a_condition_is_read_and_written_back(written: Any, condition: Condition, operands: Any) -> None:
    assert read(written) == (condition, [])
    assert condition.to_json() == written
    assert list(condition.iter_operands()) == operands


@pytest.mark.parametrize(
    ("kind", "hint"), [("ConditionLessThan", "'LessThan'"), ("Equal", "'Equals'"), ("lessthan", "'LessThan'")]
)
def test_a_type_that_is_none_is_refused_with_the_one_that_is_meant(kind: str, hint: str) -> None:
    _, (message,) = read({"Type": kind, "LeftValue": 1, "RightValue": 2})
    assert message.startswith(f"'{kind}' is not a condition")
    assert message.endswith(f"Did you mean {hint}?")
