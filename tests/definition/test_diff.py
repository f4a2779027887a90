"""A diff speaks of steps and parameters, and reads well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow_sm_pipelines.definition import Change, diff_definitions, parse_definition, render_changes

DATA = Path(__file__).parent.parent / "data" / "definitions"


def load() -> Any:
    return json.loads((DATA / "train_and_evaluate.json").read_text())


def diff(new: Any) -> str:
    return render_changes(diff_definitions(parse_definition(load()), parse_definition(new)))


def test_nothing_changed_is_said_so() -> None:
    assert diff(load()) == "No changes."


def test_changes_are_told_by_names() -> None:
    new = load()
    new["Parameters"][1]["DefaultValue"] = 6
    new["Parameters"].append({"Name": "Rounds", "Type": "Integer", "DefaultValue": 50})
    del new["Parameters"][5]
    new["Steps"][2]["Arguments"]["HyperParameters"]["num_round"] = "60"
    new["Steps"][2]["Arguments"]["InputDataConfig"][0]["ContentType"] = "text/libsvm"
    new["Steps"][2]["Arguments"]["InputDataConfig"].append({"ChannelName": "extra"})
    new["Steps"][1]["CacheConfig"]["Enabled"] = False
    new["Steps"].append({"Name": "Tell", "Type": "Lambda", "FunctionArn": "arn:aws:lambda:us-east-1:1:function:t"})
    assert diff(new).splitlines() == [
        "~ Parameters.MaxDepth.DefaultValue: 4 → 6",
        "+ Parameters.Rounds (Integer) = 50",
        "- Parameters.Verbose (Boolean) = false",
        "~ Steps.Preprocess.CacheConfig.Enabled: true → false",
        '~ Steps.Train.Arguments.InputDataConfig.train.ContentType: "text/csv" → "text/libsvm"',
        '+ Steps.Train.Arguments.InputDataConfig.extra: {"ChannelName": "extra"}',
        '~ Steps.Train.Arguments.HyperParameters.num_round: "50" → "60"',
        "+ Steps.Tell (Lambda)",
    ]


def test_a_step_that_moves_is_the_same_step() -> None:
    new = load()
    branch = new["Steps"][3]["Arguments"]
    new["Steps"].append(branch["IfSteps"].pop())
    assert diff(new).splitlines() == [
        '~ Steps.Register-RegisterModel (place): "If branch of CheckRmse" → "the pipeline"',
        "~ Steps (order):",
        '    - ["Evaluate", "Preprocess", "Train", "CheckRmse", "Register-RegisterModel", "TooBad"]',
        '    + ["Evaluate", "Preprocess", "Train", "CheckRmse", "TooBad", "Register-RegisterModel"]',
    ]


def test_a_removed_step_says_where_it_stood() -> None:
    new = load()
    new["Steps"][3]["Arguments"]["ElseSteps"] = []
    assert diff(new) == "- Steps.TooBad (Fail, in the Else branch of CheckRmse)"


def test_another_order_of_steps_is_a_change() -> None:
    new = load()
    new["Steps"].reverse()
    assert diff(new).startswith("~ Steps (order):\n    - [")


def test_conditions_are_compared_one_by_one() -> None:
    new = load()
    new["Steps"][3]["Arguments"]["Conditions"][0]["Type"] = "LessThan"
    assert diff(new) == '~ Steps.CheckRmse.Arguments.Conditions[0].Type: "LessThanOrEqualTo" → "LessThan"'


def test_long_values_are_cut_and_keys_are_quoted() -> None:
    new = load()
    new["Steps"][2]["Arguments"]["Environment"] = {"a.b": "x" * 500}
    new["Steps"][2]["Arguments"]["RoleArn"] = "arn:aws:iam::123456789012:role/" + "y" * 500
    lines = diff(new).splitlines()
    assert all(len(line) < 260 for line in lines)
    assert lines[0] == "~ Steps.Train.Arguments.RoleArn:"


def test_a_change_carries_the_values() -> None:
    old = parse_definition({"Steps": [{"Name": "A", "Type": "X", "Arguments": {"k": [1, {"a.b": True}]}}]})
    new = parse_definition({"Steps": [{"Name": "A", "Type": "X", "Arguments": {"k": [1, {"a.b": None}]}}]})
    assert diff_definitions(old, new) == (Change("changed", "Steps.A.Arguments.k[1]['a.b']", True, None),)
