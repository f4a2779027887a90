"""The derived IAM policies, held against a small simulator of IAM: they allow what is done, and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy import parse_policy, with_team_defaults
from airflow_sm_pipelines.policy.iam_policies import (
    Account,
    make_airflow_role_policy,
    make_execution_role_policy,
    make_isolation_guard,
    make_vpc_guard,
)

DEMO = Path(__file__).parent.parent / "data" / "definitions" / "diabetes_v2.json"
ACCOUNT = Account("123456789012", "us-east-1")
ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
SAGEMAKER = "arn:aws:sagemaker:us-east-1:123456789012:"
ALLOW_ALL = {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}


def holds(condition: Any, context: dict[str, str]) -> bool:
    for operator, keys in condition.items():
        for key, wanted in keys.items():
            values = wanted if isinstance(wanted, list) else [wanted]
            if operator == "Null":
                fits = (key not in context) == (values == ["true"])
            else:
                assert operator in ("Bool", "StringEquals", "StringLike", "ForAnyValue:StringEquals"), operator
                fits = key in context and any(fnmatchcase(context[key], value) for value in values)
            if not fits:
                return False
    return True


def is_allowed(*documents: Any, action: str, resource: str = "*", context: dict[str, str] | None = None) -> bool:
    """IAM's evaluation: an explicit denial wins, and what nothing allows is denied."""
    effects = {
        statement["Effect"]
        for document in documents
        for statement in document["Statement"]
        if any(fnmatchcase(action, pattern) for pattern in statement["Action"])
        and any(fnmatchcase(resource, pattern) for pattern in statement["Resource"])
        and holds(statement.get("Condition", {}), context or {})
    }
    assert effects <= {"Allow", "Deny"}
    return effects == {"Allow"}


# The guards


@pytest.mark.parametrize("action", ["CreateTrainingJob", "CreateProcessingJob", "CreateModel"])
def test_the_vpc_guard_denies_jobs_without_subnets(action: str) -> None:
    guard, name = make_vpc_guard(), f"sagemaker:{action}"
    assert not is_allowed(ALLOW_ALL, guard, action=name)
    assert is_allowed(ALLOW_ALL, guard, action=name, context={"sagemaker:VpcSubnets": "subnet-1"})
    assert is_allowed(ALLOW_ALL, guard, action="sagemaker:DescribeTrainingJob")


def test_the_isolation_guard_denies_what_is_off_and_what_is_not_said() -> None:
    guard, name = make_isolation_guard(), "sagemaker:CreateTrainingJob"
    assert not is_allowed(ALLOW_ALL, guard, action=name)
    assert not is_allowed(ALLOW_ALL, guard, action=name, context={"sagemaker:NetworkIsolation": "false"})
    assert is_allowed(ALLOW_ALL, guard, action=name, context={"sagemaker:NetworkIsolation": "true"})


# Airflow's role


def test_airflows_role_may_make_every_call_that_the_client_makes(repository: Path) -> None:
    document = make_airflow_role_policy(ACCOUNT, pipeline_name="Diabetes", execution_role_arn=ROLE, bucket="b")
    code = "".join(path.read_text() for path in (repository / "airflow_sm_pipelines" / "client").glob("*.py"))
    calls = set(re.findall(r"\.conn\.((?:add|create|delete|describe|list|retry|start|stop|update)_[a-z_]+)", code))
    calls |= {call for call in re.findall(r'"((?:describe|list)_[a-z_]+)"', code) if "log_" not in call}
    model = (
        Session()
        .create_client("sagemaker", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x")
        .meta.method_to_api_mapping
    )
    assert len(calls) > 15
    allowed = {action for statement in document["Statement"] for action in statement["Action"]}  # type: ignore
    assert {f"sagemaker:{model[call]}" for call in calls} <= allowed


def test_airflows_role_reaches_its_own_pipeline_only() -> None:
    document = make_airflow_role_policy(ACCOUNT, pipeline_name="Diabetes", execution_role_arn=ROLE)
    start = "sagemaker:StartPipelineExecution"
    assert is_allowed(document, action=start, resource=f"{SAGEMAKER}pipeline/diabetes")
    assert not is_allowed(document, action=start, resource=f"{SAGEMAKER}pipeline/other")
    stop = "sagemaker:StopPipelineExecution"
    assert is_allowed(document, action=stop, resource=f"{SAGEMAKER}pipeline/diabetes/execution/abc")
    to_sagemaker = {"iam:PassedToService": "sagemaker.amazonaws.com"}
    assert is_allowed(document, action="iam:PassRole", resource=ROLE, context=to_sagemaker)
    assert not is_allowed(document, action="iam:PassRole", resource=ROLE, context={"iam:PassedToService": "ec2"})
    assert not is_allowed(document, action="iam:PassRole", resource=f"{ROLE}Admin", context=to_sagemaker)
    assert not is_allowed(document, action="sagemaker:CreateTrainingJob", resource=f"{SAGEMAKER}training-job/x")
    assert not is_allowed(document, action="s3:GetObject", resource="arn:aws:s3:::b/x")


# The execution role


def test_the_execution_role_may_do_what_the_demo_does_and_no_more() -> None:
    made = make_execution_role_policy(parse_definition(DEMO.read_text()), ACCOUNT, role_arn=ROLE)
    bucket = "arn:aws:s3:::sagemaker-us-east-1-123456789012"
    ecr = "arn:aws:ecr:us-east-1:683313688378:repository/"
    assert made.unknown == ()
    for action, resource in (
        ("sagemaker:CreateTrainingJob", f"{SAGEMAKER}training-job/pipelines-abc-Train-x"),
        ("sagemaker:CreateProcessingJob", f"{SAGEMAKER}processing-job/pipelines-abc-Preprocess-x"),
        ("sagemaker:StopProcessingJob", f"{SAGEMAKER}processing-job/pipelines-abc-Preprocess-x"),
        ("sagemaker:CreateModelPackage", f"{SAGEMAKER}model-package/diabetes/1"),
        ("sagemaker:CreateTrial", f"{SAGEMAKER}experiment-trial/abc"),
        ("s3:GetObject", f"{bucket}/diabetes-v2/code/evaluate.py"),
        ("s3:PutObject", f"{bucket}/diabetes-v2/model/model.tar.gz"),
        ("ecr:BatchGetImage", f"{ecr}sagemaker-xgboost"),
        ("logs:PutLogEvents", "arn:aws:logs:us-east-1:123456789012:log-group:/aws/sagemaker/TrainingJobs:log-stream:x"),
    ):
        assert is_allowed(made.document, action=action, resource=resource), action
    for action, resource in (
        ("sagemaker:CreateTransformJob", f"{SAGEMAKER}transform-job/x"),
        ("sagemaker:DeleteModelPackage", f"{SAGEMAKER}model-package/diabetes/1"),
        ("s3:GetObject", "arn:aws:s3:::other/x"),
        ("s3:DeleteObject", f"{bucket}/diabetes-v2/model/model.tar.gz"),
        ("ecr:BatchGetImage", f"{ecr}other"),
        ("ec2:CreateNetworkInterface", "*"),
        ("kms:Decrypt", "arn:aws:kms:us-east-1:123456789012:key/k"),
        ("lambda:InvokeFunction", "arn:aws:lambda:us-east-1:123456789012:function:f"),
    ):
        assert not is_allowed(made.document, action=action, resource=resource), action


def test_a_network_and_keys_that_are_filled_in_are_permitted() -> None:
    policy = parse_policy(
        '[network]\nsubnets = "subnet-1"\nsecurity_groups = "sg-1"\n[encryption]\nvolume_keys = "k1"\n'
        'output_keys = "alias/team"'
    )
    definition = with_team_defaults(parse_definition(DEMO.read_text()), policy)
    document = make_execution_role_policy(definition, ACCOUNT).document
    ec2 = "arn:aws:ec2:us-east-1:123456789012:"
    for place, is_named in (("subnet/subnet-1", True), ("subnet/subnet-2", False), ("security-group/sg-2", False)):
        assert is_allowed(document, action="ec2:CreateNetworkInterface", resource=f"{ec2}{place}") == is_named
    key = "arn:aws:kms:us-east-1:123456789012:key/"
    assert is_allowed(document, action="kms:GenerateDataKey", resource=f"{key}k1")
    assert not is_allowed(document, action="kms:Decrypt", resource=f"{key}k2")
    grant = "kms:CreateGrant"
    assert not is_allowed(document, action=grant, resource=f"{key}k1")
    assert is_allowed(document, action=grant, resource=f"{key}k1", context={"kms:GrantIsForAWSResource": "true"})
    assert is_allowed(
        document, action="kms:Decrypt", resource=f"{key}k2", context={"kms:ResourceAliases": "alias/team"}
    )


def test_each_address_may_be_read_or_written_as_its_member_says() -> None:
    bucket = "arn:aws:s3:::b/"
    output = {"Std:Join": {"On": "/", "Values": ["s3://b/out", {"Get": "Execution.PipelineExecutionId"}]}}
    train = {
        "InputDataConfig": [
            {"DataSource": {"S3DataSource": {"S3Uri": "s3://b/in", "S3DataType": "S3Prefix"}}},
            {"DataSource": {"S3DataSource": {"S3Uri": "https://b.s3.amazonaws.com/url/x", "S3DataType": "S3Prefix"}}},
        ],
        "OutputDataConfig": {"S3OutputPath": output},
        "CheckpointConfig": {"S3Uri": "s3://b/check"},
        "Environment": {"TABLE": "--table=s3://b/table"},
    }
    package = {"ModelPackageGroupName": "Churn", "InferenceSpecification": {"Containers": []}}
    document = {
        "Steps": [
            {"Name": "T", "Type": "Training", "Arguments": train},
            {"Name": "R", "Type": "RegisterModel", "Arguments": package},
        ]
    }
    made = make_execution_role_policy(parse_definition(document), ACCOUNT).document
    for key, reads, writes in (
        ("in/a.csv", True, False),
        ("url/x.csv", True, False),
        ("out/abc/model.tar.gz", False, True),
        ("check/1", True, True),
        ("table/1", True, True),
        ("secret", False, False),
    ):
        assert is_allowed(made, action="s3:GetObject", resource=bucket + key) == reads, key
        assert is_allowed(made, action="s3:PutObject", resource=bucket + key) == writes, key
    create = "sagemaker:CreateModelPackage"
    assert is_allowed(made, action=create, resource=f"{SAGEMAKER}model-package/churn/1")
    assert not is_allowed(made, action=create, resource=f"{SAGEMAKER}model-package/other/1")


def test_a_manifest_may_name_any_object_of_its_bucket() -> None:
    source = {"S3DataSource": {"S3Uri": "s3://b/lists/all.manifest", "S3DataType": "ManifestFile"}}
    step = {"Name": "T", "Type": "Training", "Arguments": {"InputDataConfig": [{"DataSource": source}]}}
    made = make_execution_role_policy(parse_definition({"Steps": [step]}), ACCOUNT).document
    assert is_allowed(made, action="s3:GetObject", resource="arn:aws:s3:::b/elsewhere/x")


@pytest.mark.parametrize(
    ("uses", "allowed", "refused"),
    [
        (["run"], ["StartPipelineExecution", "DescribePipelineExecution"], ["UpdatePipeline", "StopPipelineExecution"]),
        (["stop"], ["StopPipelineExecution"], ["StartPipelineExecution", "UpdatePipeline", "DescribeTrainingJob"]),
        (["deploy"], ["UpdatePipeline", "CreatePipeline"], ["StartPipelineExecution", "DeletePipeline"]),
    ],
)
def test_airflows_role_may_do_what_it_is_for(uses: list[str], allowed: list[str], refused: list[str]) -> None:
    document = make_airflow_role_policy(ACCOUNT, pipeline_name="P", execution_role_arn=ROLE, uses=uses)
    names = {action for statement in document["Statement"] for action in statement["Action"]}  # type: ignore
    assert {f"sagemaker:{name}" for name in allowed} <= names
    assert not {f"sagemaker:{name}" for name in refused} & names


def test_functions_queues_and_what_is_unknown_are_told_apart() -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:f"
    queue = "https://sqs.us-east-1.amazonaws.com/123456789012/q"
    image = {"Get": "Steps.L.OutputParameters['image']"}
    document = {
        "Steps": [
            {
                "Name": "L",
                "Type": "Lambda",
                "FunctionArn": function,
                "OutputParameters": [{"OutputName": "image", "OutputType": "String"}],
            },
            {"Name": "C", "Type": "Callback", "SqsQueueUrl": queue},
            {"Name": "P", "Type": "Processing", "Arguments": {"AppSpecification": {"ImageUri": image}}},
        ]
    }
    made = make_execution_role_policy(parse_definition(document), ACCOUNT)
    assert is_allowed(made.document, action="lambda:InvokeFunction", resource=function)
    assert is_allowed(made.document, action="sqs:SendMessage", resource="arn:aws:sqs:us-east-1:123456789012:q")
    assert made.unknown == ("The image of step 'P' is known only in the execution.",)


# At the command line


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "iam", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.processes
def test_policies_are_written_as_json() -> None:
    options = ["--role-arn", ROLE, "--region", "us-east-1", "--pipeline-name", "diabetes"]
    for arguments in (
        ["execution", str(DEMO), *options],
        ["airflow", *options],
        ["require-vpc"],
        ["require-isolation"],
    ):
        result = run(*arguments)
        assert (result.returncode, result.stderr) == (0, "")
        document = json.loads(result.stdout)
        assert document["Version"] == "2012-10-17"
        sids = [statement["Sid"] for statement in document["Statement"]]
        assert len(set(sids)) == len(sids)
        assert all(re.fullmatch("[A-Za-z0-9]+", sid) for sid in sids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["execution", str(DEMO)], "--role-arn"),
        (["execution", "--role-arn", ROLE, "--region", "us-east-1"], "read from a definition"),
        (["airflow", "--role-arn", ROLE, "--region", "us-east-1"], "--pipeline-name"),
        (["airflow", "--role-arn", ROLE, "--pipeline-name", "p"], "--region"),
        (
            ["airflow", "--role-arn", ROLE, "--region", "us-east-1", "--pipeline-name", "p", "--for", "look"],
            "deploy, run, stop, delete",
        ),
    ],
)
def test_what_is_missing_for_a_policy_is_asked_for(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
