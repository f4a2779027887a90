"""The values that stand-ins give lead the conditions where the rehearsal wants: checked with the engine's own rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.definition import ConditionStep, PipelineDefinition, parse_definition
from airflow_sm_pipelines.definition.property_path import walk_path
from airflow_sm_pipelines.engine.rules.condition_evaluation import evaluate_all
from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope
from airflow_sm_pipelines.rehearsal.sample_values import (
    SampleValues,
    choose_values,
    find_content_types,
    find_transform_inputs,
    sample_value,
)

REGISTRY = "683313688378.dkr.ecr.us-east-1.amazonaws.com"
METRIC = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "metrics[0].value"}}
OUTPUT = {"Get": "Steps.Ask.OutputParameters['verdict']"}
NUMBERS = ("GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo", "Equals")


def compare(kind: str, left: Any, right: Any) -> dict[str, Any]:
    return {"Type": kind, "LeftValue": left, "RightValue": right}


def definition(*conditions: Any) -> PipelineDefinition:
    """Conditions on what a processing step measured and a function answered."""
    report = {"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}
    outputs = [{"OutputName": "verdict", "OutputType": "String"}]
    arguments = {"Conditions": list(conditions), "IfSteps": [], "ElseSteps": []}
    steps = [
        {"Name": "Evaluate", "Type": "Processing", "Arguments": {}, "PropertyFiles": [report]},
        {"Name": "Ask", "Type": "Lambda", "FunctionArn": "arn", "Arguments": {}, "OutputParameters": outputs},
        {"Name": "Check", "Type": "Condition", "Arguments": arguments},
    ]
    parameters = [{"Name": "Limit", "Type": "Float", "DefaultValue": 0.8}]
    return parse_definition(json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps}))


def take_branch(parsed: PipelineDefinition, *, takes_else: bool) -> bool:
    """Whether all conditions hold with the values that were chosen."""
    parameters = {"Limit": 0.8}
    values = choose_values(parsed, parameters, takes_else=lambda step: takes_else)
    check = parsed.step("Check")
    assert isinstance(check, ConditionStep)
    scope = make_scope(values, parameters)
    return evaluate_all(check.conditions, scope)


def make_scope(values: SampleValues, parameters: Any) -> ResolutionScope:
    return ResolutionScope(
        parameters=parameters,
        execution={},
        describe_step=lambda step: with_listed_outputs(values.properties.get(step, {})),
        load_property_file=lambda step, file: values.property_files[step, file],
    )


def with_listed_outputs(properties: Any) -> Any:
    outputs = properties.get("OutputParameters", {})
    return {"OutputParameters": [{"Name": name, "Value": value} for name, value in outputs.items()]}


@pytest.mark.parametrize("takes_else", [False, True], ids=["if", "else"])
@pytest.mark.parametrize(
    "condition",
    [
        *(compare(kind, METRIC, 0.8) for kind in NUMBERS),
        *(compare(kind, {"Get": "Parameters.Limit"}, METRIC) for kind in NUMBERS),
        compare("Equals", OUTPUT, "yes"),
        compare("Equals", OUTPUT, True),
        compare("GreaterThan", METRIC, OUTPUT),
        {"Type": "In", "QueryValue": OUTPUT, "Values": ["a", "b"]},
        {"Type": "Not", "Condition": compare("LessThan", METRIC, 3)},
        {"Type": "Not", "Condition": {"Type": "In", "QueryValue": METRIC, "Values": [1, 2]}},
        {"Type": "Or", "Conditions": [compare("LessThan", METRIC, 3), compare("Equals", OUTPUT, "no")]},
    ],
    ids=lambda value: json.dumps(value)[:60],
)
def test_a_condition_goes_where_it_is_wanted(condition: Any, takes_else: bool) -> None:
    assert take_branch(definition(condition), takes_else=takes_else) is not takes_else


@pytest.mark.parametrize(("first", "second"), [("GreaterThan", "LessThan"), ("LessThan", "GreaterThan")])
def test_a_value_keeps_close_to_its_limit_so_that_it_may_meet_another_one_too(first: str, second: str) -> None:
    other = 5 if first == "GreaterThan" else 1
    assert take_branch(definition(compare(first, METRIC, 3), compare(second, METRIC, other)), takes_else=False)


@settings(max_examples=100, deadline=None)
@given(
    limits=st.lists(st.integers(-5, 5) | st.floats(-5, 5), min_size=1, max_size=3),
    kind=st.sampled_from(NUMBERS),
    takes_else=st.booleans(),
)
def test_any_limits_are_met_or_missed_when_each_has_a_metric_of_its_own(
    limits: list[float], kind: str, takes_else: bool
) -> None:
    conditions = []
    for number, limit in enumerate(limits):
        metric = {"Std:JsonGet": {**METRIC["Std:JsonGet"], "Path": f"metrics[{number}].value"}}
        conditions.append(compare(kind, metric, limit))
    assert take_branch(definition(*conditions), takes_else=takes_else) is not takes_else


def test_a_document_has_every_path_that_is_read_from_it() -> None:
    both = definition(
        compare("LessThan", METRIC, 3),
        compare("LessThan", {"Std:JsonGet": {**METRIC["Std:JsonGet"], "Path": "metrics[0]['std']"}}, 3),
    )
    document = choose_values(both, {}, takes_else=lambda step: False).property_files["Evaluate", "Report"]
    assert walk_path(document, ("metrics", 0, "value")) == 2
    assert walk_path(document, ("metrics", 0, "std")) == 2


@pytest.mark.parametrize(
    ("usage", "start"),
    [
        ("S3Uri", "s3://"),
        ("ModelDataUrl", "s3://"),
        ("Image", "123456789012.dkr.ecr."),
        ("ModelPackageArn", "arn:aws:"),
        ("ModelName", "rehearsal"),
    ],
)
def test_a_made_up_value_fits_the_member_it_is_for(usage: str, start: str) -> None:
    assert str(sample_value(usage)).startswith(start)


def train(name: str, channel: dict[str, Any], **rest: Any) -> dict[str, Any]:
    source = {
        "S3DataSource": {"S3Uri": {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['train'].S3Output.S3Uri"}}
    }
    algorithm = {"TrainingImage": f"{REGISTRY}/sagemaker-xgboost:1.7-1"}
    arguments = {"AlgorithmSpecification": algorithm, "InputDataConfig": [{"DataSource": source, **channel}], **rest}
    return {"Name": name, "Type": "Training", "Arguments": arguments}


@pytest.mark.parametrize(
    ("step", "content_type"),
    [
        (train("Train", {"ContentType": "text/csv"}), "text/csv"),
        (train("Train", {}), "text/libsvm"),
        (train("Train", {}, HyperParameters={"sagemaker_program": "train.py"}), ""),
        (train("Train", {"ContentType": {"Get": "Parameters.Kind"}}), ""),
    ],
    ids=["says so", "built-in XGBoost's default", "a script reads anything", "an expression says nothing"],
)
def test_an_output_is_made_for_the_training_that_reads_it(step: Any, content_type: str) -> None:
    outputs = {"Outputs": [{"OutputName": "train", "S3Output": {}}]}
    steps = [{"Name": "Prepare", "Type": "Processing", "Arguments": {"ProcessingOutputConfig": outputs}}, step]
    parameters = [{"Name": "Kind", "Type": "String", "DefaultValue": "text/csv"}]
    pipeline = parse_definition(json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps}))
    assert find_content_types(pipeline) == {("Prepare", "train"): content_type}
    assert find_transform_inputs(pipeline) == frozenset()
