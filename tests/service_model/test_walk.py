"""What the walk finds, where, and what it converts."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.service_model import (
    STEP_CALLS,
    FaultKind,
    format_timestamp,
    judge_arguments,
    judge_value,
    load_service_model,
    parse_timestamp,
)

MODEL = load_service_model()
BOTOCORE = botocore.session.Session().get_service_model("sagemaker")
UNIONS = sorted(name for name in MODEL.shape_names if MODEL.get_shape(name).is_tagged_union)
RUN_TIME = ("StoppingCondition", "MaxRuntimeInSeconds")
INPUT_MODE = ("AlgorithmSpecification", "TrainingInputMode")
TRAINING: dict[str, Any] = {
    "AlgorithmSpecification": {"TrainingImage": "image", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://bucket/key"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
}


def expression_type(value: Any) -> str | None:
    if not is_expression(value):
        return None
    return "Integer" if value == {"Get": "Number"} else "String"


def faults_of(arguments: Any, step_type: str = "Training") -> list[tuple[str, Any]]:
    judgement = judge_arguments(STEP_CALLS[step_type], arguments, expression_type=expression_type)
    return [(fault.kind.value, fault.path) for fault in judgement.faults]


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ({}, []),
        ({"Tags": [{"Key": "a", "Value": "a*b"}]}, [("wrong pattern", ("Tags", 0, "Value"))]),
        ({"Tags": [{"Key": "a", "Value": "Größe 1"}]}, []),
        ({"Tags": [None]}, [("null entry", ("Tags", 0))]),
        ({"Tags": None}, []),
        ({"HyperParameters": {"a": None}}, []),
        ({"HyperParameters": {"a": 5}}, [("wrong type", ("HyperParameters", "a"))]),
        ({"Environment": {"a b": "x"}}, [("wrong pattern", ("Environment", "a b"))]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 1.0}}, [("wrong type", RUN_TIME)]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": "1"}}, [("wrong type", RUN_TIME)]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": True}}, [("wrong type", RUN_TIME)]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 2**31}}, [("outside type", RUN_TIME)]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, [("below minimum", RUN_TIME)]),
        ({"Odd": None}, [("unknown member", ("Odd",))]),
        ({"RoleArn": "arn:aws:iam::123456789012:role/x\ud800"}, [("half character", ("RoleArn",))]),
        ({"AlgorithmSpecification": {"TrainingImage": "i"}}, [("missing member", INPUT_MODE)]),
        ({"AlgorithmSpecification": {"Get": "P"}}, [("expression for many", ("AlgorithmSpecification",))]),
        ({"InputDataConfig": {"Get": "P"}}, [("expression for many", ("InputDataConfig",))]),
        ({"InputDataConfig": [{"Get": "P"}]}, [("expression for many", ("InputDataConfig", 0))]),
        ({"HyperParameters": {"Get": "P"}}, [("expression for many", ("HyperParameters",))]),
        ({"HyperParameters": {"a": {"Get": "P"}, "b": {"Std:Join": {"On": "", "Values": []}}}}, []),
        ({"HyperParameters": {"a": {"Get": "Number"}}}, [("number for text", ("HyperParameters", "a"))]),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": {"Get": "Number"}}}, []),
        ({"VpcConfig": []}, [("wrong type", ("VpcConfig",))]),
    ],
    ids=lambda value: str(value)[:50],
)
def test_arguments_are_judged_by_their_call(change: dict[str, Any], faults: Any) -> None:
    assert faults_of({**TRAINING, **change}) == faults


def test_an_unlisted_instance_type_is_found_but_not_wrong() -> None:
    arguments = {**TRAINING, "ResourceConfig": {**TRAINING["ResourceConfig"], "InstanceType": "ml.m99.huge"}}
    (fault,) = judge_arguments(STEP_CALLS["Training"], arguments, expression_type=expression_type).faults
    assert (fault.kind, fault.kind.is_wrong) == (FaultKind.UNLISTED_VALUE, False)


def test_every_training_job_of_a_tuning_step_may_leave_its_role_to_the_pipeline() -> None:
    tuning = {"Strategy": "Random", "ResourceLimits": {"MaxParallelTrainingJobs": 1}}
    several = {
        "HyperParameterTuningJobConfig": tuning,
        "TrainingJobDefinitions": [TRAINING, {**TRAINING, "RoleArn": None}],
    }
    assert faults_of(several, "Tuning") == []


def test_a_null_member_is_left_out_and_the_rest_comes_as_it_went_in() -> None:
    judgement = judge_value(
        {**TRAINING, "VpcConfig": None, "HyperParameters": {"a": "1", "b": None}},
        MODEL.get_request_shape("CreateTrainingJob"),
    )
    assert judgement.value == {**TRAINING, "HyperParameters": {"a": "1"}}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400])
def test_a_number_that_no_float_holds_is_found(value: float) -> None:
    (fault,) = judge_value(value, MODEL.get_shape("VariantWeight")).faults
    assert fault.kind is FaultKind.NOT_FINITE


def test_a_value_that_is_nested_too_deeply_is_found() -> None:
    value: dict[str, Any] = {}
    for _ in range(5000):
        value = {"SubExpressions": [value]}
    judgement = judge_value(value, MODEL.get_shape("SearchExpression"))
    assert judgement.faults[-1].kind is FaultKind.TOO_DEEP


def test_a_timestamp_is_converted_both_ways() -> None:
    moment = datetime(2025, 1, 1, 0, 0, 0, 500000, tzinfo=timezone.utc)
    shape = MODEL.get_shape("Timestamp")
    assert judge_value(1735689600.5, shape).value == moment
    assert judge_value(moment, shape, convert_timestamp=format_timestamp).value == 1735689600.5
    assert judge_value("2025-01-01", shape).faults[0].kind is FaultKind.WRONG_TYPE


def test_a_timestamp_keeps_its_moment_from_another_zone() -> None:
    moment = datetime(2025, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert parse_timestamp(format_timestamp(moment)) == moment


@pytest.mark.parametrize("name", UNIONS)
@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_union_has_one_member_and_botocore_agrees(name: str, count: int) -> None:
    shape = MODEL.get_shape(name)
    value = dict.fromkeys(list(shape.members)[count:])
    chosen = {member: object() for member in list(shape.members)[:count]}
    found = [fault.kind for fault in judge_value({**value, **chosen}, shape).faults]
    assert (FaultKind.NOT_ONE_MEMBER in found) is (len(chosen) != 1)
    errors = ParamValidator().validate(chosen, BOTOCORE.shape_for(name)).generate_report()
    assert ("one of the following keys" in errors or "must set one" in errors) is (len(chosen) != 1), errors
