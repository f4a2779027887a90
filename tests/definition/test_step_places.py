"""Every step is visited, wherever it stands."""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.step_places import iter_places, iter_step_places


def model(name: str) -> dict[str, Any]:
    return {"Name": name, "Type": "Model"}


def condition(name: str, then: list[Any], otherwise: list[Any]) -> dict[str, Any]:
    arguments = {"Conditions": [], "IfSteps": then, "ElseSteps": otherwise}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


DOCUMENT: Any = {
    "Steps": [
        model("First"),
        condition(
            "Choose",
            [model("Yes"), condition("Again", [model("Deep")], [])],
            [
                {
                    "Name": "Each",
                    "Type": "ForEach",
                    "Arguments": {"IterableItems": ["a"], "MaxConcurrency": 1, "ForEachBody": [model("Body")]},
                }
            ],
        ),
        model("Last"),
    ]
}


def test_each_step_comes_with_its_path_its_parent_and_its_branch_outer_before_inner() -> None:
    places = list(iter_places(parse_definition(DOCUMENT)))
    assert [(p.step.name, p.parent and p.parent.name, p.branch, p.is_template) for p in places] == [
        ("First", None, None, False),
        ("Choose", None, None, False),
        ("Yes", "Choose", "If", False),
        ("Again", "Choose", "If", False),
        ("Deep", "Again", "If", False),
        ("Each", "Choose", "Else", False),
        ("Body", "Each", "Body", True),
        ("Last", None, None, False),
    ]


def test_a_path_leads_to_the_step_in_the_document() -> None:
    for path, step in iter_step_places(parse_definition(DOCUMENT)):
        value = DOCUMENT
        for key in path:
            value = value[key]
        assert value["Name"] == step.name


def test_the_steps_that_can_run_are_all_but_templates() -> None:
    definition = parse_definition(DOCUMENT)
    assert [step.name for step in definition.iter_steps()] == [
        "First",
        "Choose",
        "Yes",
        "Again",
        "Deep",
        "Each",
        "Last",
    ]
