"""Arguments that do not fit the call of their step are found; what fits, passes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policy.found_lines import findings_of, load


def with_arguments(kind: str, arguments: Any) -> dict[str, Any]:
    return {"Steps": [{"Name": "S", "Type": kind, "Arguments": arguments}], "Parameters": [{"Name": "P"}]}


@pytest.mark.parametrize(
    ("keys", "value", "finding"),
    [
        (("RoleArn",), "me", "error ...RoleArn: step 'Train': too short: 2 characters, at least 20 needed."),
        (("RoleArn",), 5, "error ...RoleArn: step 'Train': expected a string, found the number 5."),
        (
            ("AlgorithmSpecification", "TrainingInputMode"),
            "Fiel",
            (
                "error ...AlgorithmSpecification.TrainingInputMode: step 'Train': 'Fiel' is not a TrainingInputMode. "
                "Allowed are 'Pipe', 'File', 'FastFile'."
            ),
        ),
        (
            ("ResourceConfig", "InstanceType"),
            "ml.m99.huge",
            (
                "warning ...ResourceConfig.InstanceType: step 'Train': 'ml.m99.huge' is not a TrainingInstanceType "
                "that is known here."
            ),
        ),
        (
            ("ResourceConfig", "InstanceCount"),
            "1",
            "error ...ResourceConfig.InstanceCount: step 'Train': expected a whole number, found the string '1'.",
        ),
        (
            ("ResourceConfig", "VolumeSizeInGB"),
            -1,
            "error ...ResourceConfig.VolumeSizeInGB: step 'Train': -1 is too small: at least 0 is allowed.",
        ),
        (
            ("StoppingCondition",),
            [],
            "error ...StoppingCondition: step 'Train': expected an object, found an array.",
        ),
        (
            ("InputDataConfig", 0, "ChannelName"),
            "tr ain",
            "error ...InputDataConfig[0].ChannelName: step 'Train': 'tr ain' does not match '[A-Za-z0-9\\\\.\\\\-_]+'.",
        ),
        (
            ("HyperParameters", "num_round"),
            50,
            "error ...HyperParameters.num_round: step 'Train': expected a string, found the number 50.",
        ),
        (
            ("ResourceConfig", "InstanceCount"),
            "two",
            "error ...ResourceConfig.InstanceCount: step 'Train': expected a whole number, found the string 'two'.",
        ),
        (
            ("EnableNetworkIsolation",),
            "true",
            "error ...EnableNetworkIsolation: step 'Train': expected true or false, found the string 'true'.",
        ),
        (
            ("EnableNetworkIsolation",),
            "yes",
            "error ...EnableNetworkIsolation: step 'Train': expected true or false, found the string 'yes'.",
        ),
        (
            ("StopingCondition",),
            {},
            (
                "error ...StopingCondition: step 'Train': CreateTrainingJobRequest has no member 'StopingCondition' "
                "that is known here. Did you mean 'StoppingCondition'?"
            ),
        ),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_an_argument_that_does_not_fit_the_call_is_found(keys: tuple[Any, ...], value: Any, finding: str) -> None:
    document = load("train_and_evaluate.json")
    target = document["Steps"][2]["Arguments"]
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    assert findings_of(document)[0] == finding.replace("...", "Steps[2].Arguments.")


def test_a_missing_member_is_found_with_what_stands_in_its_place() -> None:
    document = load("train_and_evaluate.json")
    arguments = document["Steps"][2]["Arguments"]
    arguments["OutputDataconfig"] = arguments.pop("OutputDataConfig")
    assert findings_of(document)[0] == (
        "error Steps[2].Arguments: step 'Train': 'OutputDataConfig' is missing. Did you mean 'OutputDataconfig'?"
    )


def test_an_expression_stands_for_one_value_and_a_null_for_nothing() -> None:
    document = load("train_and_evaluate.json")
    arguments = document["Steps"][2]["Arguments"]
    for key in ("RoleArn", "EnableNetworkIsolation"):
        arguments[key] = {"Get": "Parameters.InputData"}
    arguments["VpcConfig"] = None
    assert findings_of(document) == []
    arguments["InputDataConfig"] = {"Get": "Parameters.InputData"}
    assert findings_of(document) == [
        (
            "error Steps[2].Arguments.InputDataConfig: step 'Train': expected an array, found an expression, which "
            "stands for one value only."
        )
    ]


@pytest.mark.parametrize(
    "reference", ["Parameters.MaxDepth", "Steps.Prep.ProcessingResources.ClusterConfig.InstanceCount"]
)
def test_a_number_does_not_stand_for_a_text(reference: str) -> None:
    document = load("train_and_evaluate.json")
    prep, arguments = document["Steps"][1]["Name"], document["Steps"][2]["Arguments"]
    reference = reference.replace("Prep", prep)
    arguments["HyperParameters"]["max_depth"] = {"Get": reference}
    assert findings_of(document) == [
        (
            f"error Steps[2].Arguments.HyperParameters.max_depth: step 'Train': {{'Get': '{reference}'}} gives a "
            "number or a boolean, but only text goes here."
        )
    ]
    arguments["HyperParameters"]["max_depth"] = {"Std:Join": {"On": "", "Values": [{"Get": reference}]}}
    assert findings_of(document) == []


def test_a_role_may_be_left_to_the_pipeline() -> None:
    document = load("train_and_evaluate.json")
    for step in document["Steps"][:3]:
        del step["Arguments"]["RoleArn"]
    assert findings_of(document) == []


@pytest.mark.parametrize(
    ("kind", "arguments", "part"),
    [
        ("Model", {"PrimaryContainer": {"Image": 1}}, "PrimaryContainer.Image"),
        ("RegisterModel", {"ModelApprovalStatus": "Perhaps"}, "ModelApprovalStatus"),
        ("Transform", {"ModelName": "m"}, "'TransformInput' is missing"),
        ("Tuning", {}, "'HyperParameterTuningJobConfig' is missing"),
        ("Processing", {}, "'AppSpecification' is missing"),
        ("Lineage", {"Actions": [{"ActionName": "a"}]}, "Steps[0].Arguments.Actions[0]: step 'S': 'Source' is missing"),
    ],
)
def test_every_kind_of_step_is_held_against_its_own_call(kind: str, arguments: Any, part: str) -> None:
    found = findings_of(with_arguments(kind, arguments))
    assert any(part in finding for finding in found)
