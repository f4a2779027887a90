"""A definition is written back as it was read, whatever it holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from airflow_sm_pipelines.definition import (
    CacheConfig,
    ConditionStep,
    Dependency,
    ForEachStep,
    Parameter,
    PipelineDefinition,
    Step,
    parse_definition,
)
from airflow_sm_pipelines.definition.json_value import is_same_json
from tests.definition.strategies import definitions

DATA = Path(__file__).parent.parent / "data" / "definitions"
GOLDEN = sorted(DATA.glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_a_file_is_written_back_key_for_key(path: Path) -> None:
    text = path.read_text()
    assert json.dumps(parse_definition(text).to_json()) == json.dumps(json.loads(text))


@settings(max_examples=150, deadline=None)
@given(definitions())
def test_any_valid_document_survives(document: dict[str, Any]) -> None:
    for source in (document, json.dumps(document), json.dumps(document, indent=1).encode()):
        definition = parse_definition(source)
        assert list(definition.to_json()) == list(document)
        assert is_same_json(definition.to_json(), document)


def test_what_is_written_is_a_copy() -> None:
    definition = parse_definition((DATA / "by_hand.json").read_text())
    before = json.dumps(definition.to_json())
    written: Any = definition.to_json()
    written["Steps"][1]["Destination"]["Planet"].append("Venus")
    written["Steps"][0]["Arguments"]["Conditions"].clear()
    assert json.dumps(definition.to_json()) == before


def test_a_replaced_field_changes_nothing_else() -> None:
    text = (DATA / "by_hand.json").read_text()
    definition = parse_definition(text)
    choose, unheard, *rest = definition.steps
    changed = replace(
        definition, steps=(choose, replace(unheard, cache_config=CacheConfig(enabled=False, expire_after="P1D")), *rest)
    )
    expected = json.loads(text)
    expected["Steps"][1]["CacheConfig"] = {"Enabled": False, "ExpireAfter": "P1D"}
    assert json.dumps(changed.to_json()) == json.dumps(expected)


def test_a_field_replaced_by_its_default_is_left_out() -> None:
    step = parse_definition((DATA / "train_and_evaluate.json").read_text()).step("Preprocess")
    written = replace(step, display_name=None, retry_policies=(), cache_config=None).to_json()
    assert list(written) == ["Name", "Type", "Description", "Arguments"]


def test_true_does_not_pass_for_one() -> None:
    definition = parse_definition({"Parameters": [{"Name": "P", "Type": "Integer", "DefaultValue": 1}], "Steps": []})
    (parameter,) = definition.parameters
    written = replace(definition, parameters=(replace(parameter, type="Boolean", default=True),)).to_json()
    assert json.dumps(written["Parameters"]) == '[{"Name": "P", "Type": "Boolean", "DefaultValue": true}]'


def test_a_definition_made_in_python_is_written_as_the_sdk_writes_it() -> None:
    definition = PipelineDefinition(
        parameters=(Parameter("Rate", "Float", 0.5),),
        steps=(
            Step("A", "Lambda", arguments={"x": 1}, attributes={"FunctionArn": "arn"}),
            ConditionStep("C", "Condition", depends_on=(Dependency("A"), Dependency("B", "Any"))),
            ForEachStep("F", "ForEach", items=["a"], body=(Step("B", "Training"),)),
        ),
    )
    assert definition.to_json() == {
        "Version": "2020-12-01",
        "Metadata": {},
        "Parameters": [{"Name": "Rate", "Type": "Float", "DefaultValue": 0.5}],
        "Steps": [
            {"Name": "A", "Type": "Lambda", "Arguments": {"x": 1}, "FunctionArn": "arn"},
            {
                "Name": "C",
                "Type": "Condition",
                "Arguments": {"Conditions": [], "IfSteps": [], "ElseSteps": []},
                "DependsOn": ["A", {"Step": "B", "Trigger": "Any"}],
            },
            {
                "Name": "F",
                "Type": "ForEach",
                "Arguments": {
                    "IterableItems": ["a"],
                    "MaxConcurrency": 1,
                    "ForEachBody": [{"Name": "B", "Type": "Training"}],
                },
            },
        ],
    }
