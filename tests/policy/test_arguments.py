"""The policy layer finds what SageMaker would refuse, and lets pass what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy import Finding, Severity, check_definition, render_findings

DATA = Path(__file__).parent.parent / "data" / "definitions"

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


def load(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def findings_of(document: Any) -> list[str]:
    return [
        f"{finding.severity} {finding.path}: {finding.message}"
        for finding in check_definition(parse_definition(document))
    ]


def with_arguments(kind: str, arguments: Any) -> dict[str, Any]:
    return {"Steps": [{"Name": "S", "Type": kind, "Arguments": arguments}], "Parameters": [{"Name": "P"}]}


@pytest.mark.parametrize("name", ["train_and_evaluate.json", "fan_out.json"])
def test_what_the_sdks_write_passes(name: str) -> None:
    assert findings_of(load(name)) == []


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


def test_expressions_and_nulls_stand_for_anything() -> None:
    document = load("train_and_evaluate.json")
    arguments = document["Steps"][2]["Arguments"]
    for key in ("ResourceConfig", "InputDataConfig", "RoleArn", "EnableNetworkIsolation"):
        arguments[key] = {"Get": "Parameters.InputData"}
    arguments["VpcConfig"] = None
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


def test_unknown_steps_and_keys_are_only_warned_of() -> None:
    document = {
        "Steps": [{"Name": "S", "Type": "Trainning", "Argumets": {}}],
        "Comment": 1,
        "Version": "2030-01-01",
    }
    assert findings_of(document) == [
        "warning Version: '2030-01-01' is not a version of the pipeline definition that is known here.",
        "warning Comment: 'Comment' is not a key of a pipeline definition that is known here.",
        "warning Steps[0].Type: step 'S' is of the type 'Trainning', which is not known here. Did you mean 'Training'?",
        (
            "warning Steps[0].Argumets: 'Argumets' of step 'S' is not a key of a step that is known here. "
            "Did you mean 'Arguments'?"
        ),
    ]


def test_names_and_lengths_are_held_against_the_service() -> None:
    document = {
        "Parameters": [{"Name": "a b"}, {"Name": "x", "DefaultValue": "y" * 5000}],
        "Steps": [{"Name": "n" * 65, "Type": "Training", "Arguments": {}, "Description": "d" * 4000}],
    }
    found = [finding for finding in findings_of(document) if "Arguments" not in finding]
    assert found == [
        "error Parameters[0].Name: the parameter's name: 'a b' does not match '[A-Za-z0-9\\\\-_]*'.",
        "error Parameters[1].DefaultValue: the default of 'x': too long: 5000 characters, at most 1024 allowed.",
        "error Steps[0].Name: the step's name: too long: 65 characters, at most 64 allowed.",
        (
            f"error Steps[0].Description: the Description of step '{'n' * 65}': "
            "too long: 4000 characters, at most 3072 allowed."
        ),
    ]


def test_a_large_pipeline_is_told_its_limits() -> None:
    parameters = [{"Name": f"P{index}"} for index in range(201)]
    document = {"Parameters": parameters, "Steps": [], "Metadata": {"x": "y" * 1_100_000}}
    found = findings_of(document)
    assert [line.split(":")[0] for line in found] == ["warning Steps", "warning Parameters", "warning the document"]


def test_settings_of_steps_have_limits_too() -> None:
    policy = {"ExceptionType": ["Step.Throttling"], "MaxAttempts": 21, "ExpireAfterMin": 0}
    each = {
        "IterableItems": ["a"] * 101,
        "MaxConcurrency": 51,
        "Selector": {"Pick": "Best", "Field": {"Get": "IterationOutput.B.X"}},
        "ForEachBody": [{"Name": "B", "Type": "Callback", "Arguments": {"SqsQueueUrl": "q"}}],
    }
    document = {
        "Steps": [
            {"Name": "L", "Type": "Lambda", "RetryPolicies": [policy], "CacheConfig": {"ExpireAfter": "soon"}},
            {"Name": "E", "Type": "ForEach", "Arguments": each},
            {"Name": "C", "Type": "Condition", "Arguments": {"Conditions": []}},
        ]
    }
    found = check_definition(parse_definition(document))
    assert [(finding.severity.value, finding.path) for finding in found] == [
        ("error", "Steps[0]"),
        ("error", "Steps[0].RetryPolicies[0]"),
        ("error", "Steps[0].RetryPolicies[0].MaxAttempts"),
        ("error", "Steps[0].RetryPolicies[0].ExpireAfterMin"),
        ("warning", "Steps[0].RetryPolicies[0].ExceptionType"),
        ("warning", "Steps[0].CacheConfig.ExpireAfter"),
        ("error", "Steps[1].Arguments.MaxConcurrency"),
        ("error", "Steps[1].Arguments.IterableItems"),
        ("error", "Steps[1].Arguments.Selector"),
        ("error", "Steps[1].Arguments.ForEachBody[0]"),
        ("warning", "Steps[2].Arguments.Conditions"),
    ]
    assert found[-2].fix == "It stands beside 'Arguments', not in it: move 'SqsQueueUrl' there."


def test_an_organisation_adds_rules_of_its_own() -> None:
    def no_lambda(definition: Any) -> list[Finding]:
        steps = [step for step in definition.iter_steps() if step.type == "Lambda"]
        return [
            Finding("no-lambda", Severity.ERROR, step.name, "is a Lambda step.", "Use Processing.") for step in steps
        ]

    found = check_definition(parse_definition(load("fan_out.json")), rules=[no_lambda])
    assert render_findings(found).splitlines() == [
        "error: Prepare: is a Lambda step. Use Processing. [no-lambda]",
        "error: TellSomebody: is a Lambda step. Use Processing. [no-lambda]",
    ]


def test_findings_are_rendered_errors_first() -> None:
    found = [Finding("r", Severity.WARNING, "A", "odd."), Finding("r", Severity.ERROR, "B", "wrong.", "Mend it.")]
    assert render_findings(found) == "error: B: wrong. Mend it. [r]\nwarning: A: odd. [r]"
    assert render_findings([]) == "No findings."


def test_importing_the_policy_does_not_load_botocore() -> None:
    code = "import sys, airflow_sm_pipelines.policy; print('botocore' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "False\n"
