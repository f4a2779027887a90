"""What CreatePipeline refuses in the arguments of steps, and in which words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.engine.operations.pipelines import MAX_REFUSALS, check_definition
from airflow_sm_pipelines.engine.rules.errors import ServiceError
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.policy import Severity
from airflow_sm_pipelines.policy import check_definition as validate
from tests.engine.fake_world import as_text, condition, definition_text, processing, training

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
PARAMETERS: list[Any] = [
    {"Name": "Count", "Type": "Integer", "DefaultValue": 3},
    {"Name": "Share", "Type": "Float", "DefaultValue": 0.5},
    {"Name": "Flag", "Type": "Boolean", "DefaultValue": True},
    {"Name": "Text", "Type": "String", "DefaultValue": "x"},
]
UNREADABLE = "Unable to parse pipeline definition. "
MODEL: dict[str, Any] = {"Name": "M", "Type": "Model", "Arguments": {"ExecutionRoleArn": ROLE}}
PACKAGE: dict[str, Any] = {"InferenceSpecification": {"Containers": [{"Image": "i"}]}}


def text_of(*steps: Any) -> str:
    document = json.loads(definition_text(list(steps)))
    return json.dumps({**document, "Parameters": PARAMETERS})


def refusal_of(*steps: Any) -> str:
    with pytest.raises(ServiceError) as refused:
        check_definition(text_of(*steps))
    assert refused.value.code == "ValidationException"
    return refused.value.message


def processing_with(**arguments: Any) -> dict[str, Any]:
    return processing("P", arguments=arguments)


def get(name: str) -> dict[str, str]:
    return {"Get": name}


def s3_input(number: int, **members: Any) -> dict[str, Any]:
    place = {"S3Uri": "s3://b/k", "LocalPath": "/opt/ml/processing/i", "S3DataType": "S3Prefix", "S3InputMode": "File"}
    return {"InputName": f"i{number}", "S3Input": {**place, **members}}


SUBNETS = {"SecurityGroupIds": ["sg-12345678"]}
ARGUMENTS = {"ImageUri": "i", "ContainerEntrypoint": ["python3"]}

ON_RECORD = [
    pytest.param(
        {"Name": "R", "Type": "RegisterModel", "Arguments": {**PACKAGE, "ModelPackageName": "m"}},
        UNREADABLE + "Unknown Argument member 'ModelPackageName'.",
        id="a member that the step's call does not take",
    ),
    pytest.param(
        processing_with(NetworkConfig={"VpcConfig": {**SUBNETS, "Subnets": get("Parameters.Text")}}),
        UNREADABLE + "Expecting start of Json Array.",
        id="a reference where a list belongs",
    ),
    pytest.param(
        processing_with(AppSpecification="image"),
        UNREADABLE + "Expecting start of Json Object.",
        id="a text where an object belongs",
    ),
    pytest.param(
        processing_with(ProcessingInputs=[s3_input(0, S3InputMode="FastFile")]),
        UNREADABLE + "Model Validation failed: Value 'FastFile' for 'ProcessingS3InputMode' failed to satisfy enum"
        " value set: [Pipe, File]",
        id="a value that a closed list does not have",
    ),
    pytest.param(
        processing_with(ProcessingInputs=[s3_input(number) for number in range(11)]),
        UNREADABLE + "Model Validation failed: 'ProcessingInputs' has 11 entries; at most 10 is allowed.",
        id="too many inputs",
    ),
    pytest.param(
        processing_with(AppSpecification={**ARGUMENTS, "ContainerArguments": ["x" * 257]}),
        UNREADABLE + f"Model Validation failed: string '{'x' * 200}' with length=257 cannot be greater than 256.",
        id="a text that is too long",
    ),
    pytest.param(
        processing_with(AppSpecification={**ARGUMENTS, "ContainerArguments": ["--n", get("Parameters.Count")]}),
        "Cannot assign property reference [Parameters.Count] to argument of type [String].",
        id="an integer among container arguments",
    ),
    pytest.param(
        processing_with(Environment={"SHARE": get("Parameters.Share")}),
        "Cannot assign property reference [Parameters.Share] to argument of type [String].",
        id="a float in the environment",
    ),
    pytest.param(
        training("T", HyperParameters={"flag": get("Parameters.Flag")}),
        "Cannot assign property reference [Parameters.Flag] to argument of type [String].",
        id="a boolean among hyperparameters",
    ),
]

FROM_THE_MODEL = [
    pytest.param({"Name": "P", "Type": "Processing", "Arguments": {}}, "Missing required member", id="nothing given"),
    pytest.param(
        training("T", StoppingCondition={"MaxRuntimeInSeconds": 0}),
        "'MaxRuntimeInSeconds' is 0",
        id="too small a number",
    ),
    pytest.param(
        training("T", StoppingCondition={"MaxRuntimeInSeconds": "60"}), "type [Integer]", id="a number as text"
    ),
    pytest.param(training("T", Environment={"A": 1}), "type [String]", id="a text as a number"),
    pytest.param(training("T", EnableNetworkIsolation="no"), "type [Boolean]", id="a boolean as text"),
    pytest.param(training("T", Tags=[None]), "null entry", id="a null in a list"),
    pytest.param(
        processing_with(ProcessingInputs=get("Parameters.Text")), "start of Json Array", id="an expression for inputs"
    ),
    pytest.param(
        training("T", Environment=get("Parameters.Text")),
        "start of Json Object",
        id="an expression for the environment",
    ),
    pytest.param(
        training("T", Environment={"N": get("Steps.P.ProcessingResources.ClusterConfig.InstanceCount")}),
        "Cannot assign property reference [Steps.P.ProcessingResources.ClusterConfig.InstanceCount]",
        id="a number of another step for a text",
    ),
    pytest.param(
        {**processing("P"), "CacheConfig": {"Enabled": True, "ExpireAfter": "soon"}}, "'soon'", id="no duration"
    ),
]


@pytest.mark.parametrize(("step", "message"), ON_RECORD)
def test_what_the_service_is_known_to_refuse_is_refused_in_its_words(step: Any, message: str) -> None:
    refusal = refusal_of(step)
    assert refusal.startswith(message)
    assert f"(step '{step['Name']}', Steps[0].Arguments" in refusal


@pytest.mark.parametrize(("step", "message"), FROM_THE_MODEL)
def test_what_the_api_model_rules_out_is_refused(step: Any, message: str) -> None:
    others = [processing("P")] if step["Name"] != "P" else []
    assert message in refusal_of(step, *others)


@pytest.mark.parametrize(("step", "message"), [*ON_RECORD, *FROM_THE_MODEL])
def test_validate_finds_what_create_pipeline_refuses(step: Any, message: str) -> None:
    others = [processing("P")] if step["Name"] != "P" else []
    try:
        findings = validate(parse_definition(text_of(step, *others)))
    except DefinitionError:
        return
    assert any(finding.severity is Severity.ERROR for finding in findings)


def test_a_step_may_not_depend_on_a_condition() -> None:
    always = [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}]
    decision = condition("If", always, then=[], otherwise=[])
    assert "depends on 'If', which is a Condition step" in refusal_of(decision, processing("A", depends_on=["If"]))
    reading = training("B", Environment={"TAKEN": as_text(get("Steps.If.Outcome"))})
    assert check_definition(text_of(decision, reading)).steps[1].name == "B"


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(training("T", HyperParameters={"n": as_text(get("Parameters.Count"))}), id="a number made text"),
        pytest.param(training("T", Environment={"A": get("Parameters.Text")}), id="a text parameter"),
        pytest.param(
            training("T", Environment={"A": get("Execution.PipelineExecutionId")}), id="an execution variable"
        ),
        pytest.param(training("T", StoppingCondition={"MaxRuntimeInSeconds": get("Parameters.Count")}), id="a number"),
        pytest.param(training("T", RoleArn="arn:aws:iam::XXXX:role/masked"), id="a pattern is left to the job"),
        pytest.param({**processing("P"), "CacheConfig": {"Enabled": True, "ExpireAfter": "30d"}}, id="AWS's own 30d"),
        pytest.param({**processing("P"), "CacheConfig": {"Enabled": True, "ExpireAfter": "T12H"}}, id="AWS's own T12H"),
        pytest.param(processing_with(RoleArn=None), id="a null member"),
        pytest.param(processing_with(ProcessingInputs=[{**s3_input(0), "AppManaged": False}]), id="what SDK v2 writes"),
        pytest.param(
            {
                "Name": "L",
                "Type": "Lambda",
                "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:f",
                "Arguments": {"n": get("Parameters.Count"), "any": [{"Get": "Parameters.Flag"}]},
            },
            id="the event of a Lambda step",
        ),
    ],
)
def test_what_the_service_takes_is_taken(step: Any) -> None:
    assert check_definition(text_of(step)).steps[0].name == step["Name"]


def test_an_error_lists_at_most_so_many_faults() -> None:
    environment = {f"N{number}": get("Parameters.Count") for number in range(MAX_REFUSALS + 5)}
    assert refusal_of(training("T", Environment=environment)).count("Cannot assign") == MAX_REFUSALS
