"""Shapes: what of a definition they hold, what changes them, and what a wrong file is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.shape import find_shape_changes, make_shape, parse_shape, render_shape
from airflow_sm_pipelines.exceptions import DefinitionError


def call(name: str, *after: Any) -> dict[str, Any]:
    function = "arn:aws:lambda:us-east-1:123456789012:function:f"
    return {"Name": name, "Type": "Lambda", "DependsOn": list(after), "Arguments": {}, "FunctionArn": function}


def definition(*steps: dict[str, Any]) -> Any:
    return parse_definition({"Version": "2020-12-01", "Steps": list(steps)})


CONDITION = {
    "Name": "Check",
    "Type": "Condition",
    "DependsOn": ["First"],
    "Arguments": {
        "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
        "IfSteps": [call("Yes")],
        "ElseSteps": [call("No", "Other")],
    },
}
BRANCHED = (
    CONDITION,
    call("First"),
    call("Other"),
    call("Mend", {"Step": "First", "Trigger": "Failed"}),
)


def test_a_shape_has_each_step_after_all_it_waits_for_and_is_read_back_from_its_text() -> None:
    shape = make_shape(definition(*BRANCHED))
    assert [(step.name, step.type, step.waits_for, step.after_failure) for step in shape.steps] == [
        ("First", "Lambda", (), ()),
        ("Check", "Condition", ("First",), ()),
        ("Yes", "Lambda", ("Check",), ()),
        ("Other", "Lambda", (), ()),
        ("No", "Lambda", ("Check", "Other"), ()),
        ("Mend", "Lambda", ("First",), ("First",)),
    ]
    assert parse_shape(render_shape(shape), name="x") == shape
    assert {step.name: step.branches for step in shape.steps if step.branches} == {
        "Yes": (("Check", True),),
        "No": (("Check", False),),
    }
    assert shape.downstream({"Check"}) == {"Check", "Yes", "No"}
    assert shape.needs({"Check", "No"}) == {"First", "Other"}


def test_arguments_parameters_and_the_order_of_the_document_do_not_change_a_shape() -> None:
    other = {**call("First"), "Arguments": {"rows": 7}}
    shapes = [make_shape(definition(*steps)) for steps in ((call("First"), CONDITION, call("Other")),)]
    shapes.append(make_shape(definition(other, CONDITION, call("Other"))))
    assert find_shape_changes(*shapes) == []


def test_each_difference_is_told() -> None:
    before = make_shape(definition(call("A"), call("B", "A"), call("C")))
    after = make_shape(definition(call("A"), call("B", "D"), call("D")))
    assert find_shape_changes(before, after) == [
        "step 'D' is new",
        "step 'C' is gone",
        "step 'B' waits for 'D', not for 'A'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[]", "no shape of a pipeline"),
        (json.dumps({"Version": "2020-12-01", "Steps": []}), "Write it with `sm-pipelines shape`"),
        (json.dumps({"shape_version": 2, "steps": [{"name": "A", "type": "Fail"}]}), "'shape_version': 1"),
        (json.dumps({"shape_version": 1, "steps": []}), "at least one step"),
        (json.dumps({"shape_version": 1, "steps": ["A"]}), "a 'name' and a 'type', found 'A'"),
        (
            json.dumps({"shape_version": 1, "steps": [{"name": "A", "type": "Fail", "waits_for": "B"}]}),
            "list of names in 'waits_for'",
        ),
        (
            json.dumps({"shape_version": 1, "steps": [{"name": "A", "type": "Fail", "waits_for": ["B"]}]}),
            "waits for 'B', not before it",
        ),
        (json.dumps({"shape_version": 1, "steps": [{"name": "A", "type": "Fail"}] * 2}), "'A' stands twice"),
        (
            json.dumps(
                {"shape_version": 1, "steps": [{"name": "A", "type": "Fail", "branches": [{"condition": "B"}]}]}
            ),
            "a 'condition' and an 'outcome'",
        ),
    ],
)
def test_what_is_no_shape_is_refused(text: str, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_shape(text, name="train.shape.json")
    assert message in str(caught.value)
    assert str(caught.value).startswith("train.shape.json")
