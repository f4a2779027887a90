"""Conditions as Python: they decide as the Condition step does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.migrate.files.airflow_expressions import BranchConditions
from tests.migrate.workflows import get

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue

VALUE = get("Steps.Score.OutputParameters['value']")


def compare(kind: str, right: JsonValue, left: JsonValue = VALUE) -> JsonObject:
    """A comparison of the value."""
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def decide(*conditions: JsonObject, **arguments: Any) -> bool:
    """Run the conditions as the generated task does."""
    tests = BranchConditions()
    source = tests.render(conditions)
    assert set(tests.arguments) == set(arguments)
    return bool(eval(source, {}, arguments))  # noqa: S307


@pytest.mark.parametrize("as_given", [lambda value: value, str], ids=["as it is", "as a template gives it"])
@pytest.mark.parametrize(
    ("condition", "value", "holds"),
    [
        (compare("Equals", 5), 5, True),
        (compare("Equals", 5), 5.0, True),
        (compare("Equals", 5), 6, False),
        (compare("NotEquals", 5), 6, True),
        (compare("Equals", "5"), 5, True),
        (compare("Equals", 'a "b" \\'), 'a "b" \\', True),
        (compare("Equals", True), True, True),
        (compare("Equals", True), False, False),
        (compare("GreaterThan", 9), 10, True),
        (compare("GreaterThanOrEqualTo", 9), 9, True),
        (compare("LessThan", 10), 9, True),
        (compare("LessThanOrEqualTo", -1), -1.5, True),
        ({"Type": "In", "QueryValue": VALUE, "Values": ["a", "b"]}, "b", True),
        ({"Type": "In", "QueryValue": VALUE, "Values": [1, 2]}, 3, False),
        ({"Type": "NotIn", "Value": VALUE, "In": [1, 2]}, 3, True),
        ({"Type": "Not", "Condition": compare("Equals", 5)}, 5, False),
        ({"Type": "Or", "Conditions": [compare("Equals", 5), compare("Equals", 6)]}, 6, True),
        ({"Type": "Not", "Condition": {"Type": "Or", "Conditions": [compare("Equals", 5)]}}, 6, True),
    ],
    ids=str,
)
def test_a_condition_decides(condition: JsonObject, value: Any, holds: bool, as_given: Any) -> None:
    assert decide(condition, value=as_given(value)) is holds


def test_all_conditions_of_a_branch_must_hold() -> None:
    either: JsonObject = {"Type": "Or", "Conditions": [compare("Equals", 1), compare("Equals", 2)]}
    assert decide(either, compare("LessThan", 2), value=1)
    assert not decide(either, compare("LessThan", 2), value=2)


def test_two_references_are_compared_by_their_numbers() -> None:
    condition = compare("GreaterThan", get("Parameters.limit"))
    assert decide(condition, value="10", limit="9")


def test_arguments_of_the_same_word_have_names_of_their_own() -> None:
    condition = compare("Equals", get("Steps.Other.OutputParameters['value']"))
    assert decide(condition, value="a", value_2="a")


def test_no_argument_hides_what_python_has() -> None:
    tests = BranchConditions()
    tests.render(
        [compare("Equals", 1, left=get("Parameters.input")), compare("Equals", 1, left=get("Parameters.class"))]
    )
    assert list(tests.arguments) == ["input_2", "task_class"]
