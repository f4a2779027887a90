"""The execution role's policy beside a real run: it allows each call of the run, and each action it allows is made.

Compared are S3, SQS, Lambda and the Create calls of SageMaker. What the service calls besides, and no local run does,
is in ``SERVICE_ONLY`` with its reason.
"""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.policy.iam_policies import Account, make_execution_role_policy
from airflow_sm_pipelines.server import serve
from tests.airflow_runs import write_image_table
from tests.contract.conftest import IMAGE, ROLE
from tests.policy.test_iam_policies import is_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import pytest

    from airflow_sm_pipelines.engine.services import EngineServices

ACCOUNT = Account("123456789012", "us-east-1")

SERVICE_ONLY = {
    "s3:GetBucketLocation": "the service finds out a bucket's region; the endpoint has one region",
    "s3:AbortMultipartUpload": "only after an upload that failed",
    "sagemaker:AddTags": "the service tags what a pipeline makes",
    "sagemaker:DescribeProcessingJob": "the service polls the job that it made; the engine knows it",
    "sagemaker:StopProcessingJob": "only when an execution is stopped",
    "sagemaker:CreateExperiment": "the engine makes experiments, trials and components itself",
    "sagemaker:CreateTrial": "the same",
    "sagemaker:CreateTrialComponent": "the same",
    "sagemaker:DescribeExperiment": "the same",
    "sagemaker:DescribeTrial": "the same",
    "sagemaker:DescribeTrialComponent": "the same",
    "sagemaker:AssociateTrialComponent": "the same",
    "sagemaker:UpdateTrialComponent": "the same",
}
"""Actions of the compared services that no call of the run asks for.

Of other services (ECR, Logs, CloudWatch, EC2, KMS, PassRole) all actions are the service's. Source: developer guide,
"How to use SageMaker AI execution roles", "CreateProcessingJob API: Execution Role Permissions".
"""

S3_ACTIONS = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListObjectsV2": "s3:ListBucket",
    "HeadBucket": "s3:ListBucket",
}


class Recorder:
    """Notes the calls that the engine makes as an execution's role."""

    def __init__(self) -> None:
        self.calls: set[tuple[str, str]] = set()

    def adapt(self, services: EngineServices) -> EngineServices:
        client: Any = services.s3
        client.meta.events.register("before-parameter-build.s3", self._note_s3)
        send, find, validate = services.send_message, services.find_function, services.validate_request

        def send_message(url: str, body: str) -> str | None:
            self.calls.add(("sqs:SendMessage", f"arn:aws:sqs:us-east-1:123456789012:{url.rpartition('/')[2]}"))
            return send(url, body)

        def find_function(name: str) -> Any:
            self.calls.add(("lambda:InvokeFunction", name))
            return find(name)

        def validate_request(operation: str, request: Mapping[str, Any]) -> str | None:
            self.calls.add((f"sagemaker:{operation}", "arn:aws:sagemaker:us-east-1:123456789012:processing-job/x"))
            return validate(operation, request)

        return replace(
            services, send_message=send_message, find_function=find_function, validate_request=validate_request
        )

    def _note_s3(self, params: Mapping[str, Any], model: Any, **_: Any) -> None:
        bucket, key = params["Bucket"], params.get("Key")
        resource = f"arn:aws:s3:::{bucket}" + (f"/{key}" if key else "")
        self.calls.add((S3_ACTIONS.get(model.name, f"s3:{model.name}"), resource))


PROGRAM = """
import json, pathlib
data = pathlib.Path("/opt/ml/processing/in/a.txt").read_text()
pathlib.Path("/opt/ml/processing/out/report.json").write_text(json.dumps({"size": len(data)}))
"""


def make_definition(queue: str) -> dict[str, Any]:
    folder = "/opt/ml/processing"
    inputs: list[Any] = [
        {
            "InputName": name,
            "S3Input": {
                "S3Uri": f"s3://role-test/{name}",
                "LocalPath": f"{folder}/{name}",
                "S3DataType": "S3Prefix",
                "S3InputMode": "File",
            },
        }
        for name in ("code", "in")
    ]
    output = {
        "OutputName": "out",
        "S3Output": {"S3Uri": "s3://role-test/out", "LocalPath": f"{folder}/out", "S3UploadMode": "EndOfJob"},
    }
    prepare = {
        "Name": "Prepare",
        "Type": "Processing",
        "Arguments": {
            "RoleArn": ROLE,
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}
            },
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", f"{folder}/code/p.py"]},
            "ProcessingInputs": inputs,
            "ProcessingOutputConfig": {"Outputs": [output]},
        },
        "PropertyFiles": [{"PropertyFileName": "R", "OutputName": "out", "FilePath": "report.json"}],
    }
    size = {
        "Std:JsonGet": {"PropertyFile": {"Get": "Steps.Prepare.PropertyFiles.R"}, "Path": "size"},
    }
    call = {
        "Name": "Call",
        "Type": "Lambda",
        "FunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:role-test",
        "Arguments": {"size": size},
    }
    ask = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "Arguments": {}, "DependsOn": ["Call"]}
    return {"Version": "2020-12-01", "Steps": [prepare, call, ask]}


def test_the_policy_and_a_run_agree_in_both_directions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    import time

    monkeypatch.setenv("SM_PIPELINES_IMAGES", str(write_image_table(tmp_path, "tests-python")))
    recorder = Recorder()
    with serve(tmp_path / "state", region="us-east-1", adapt_services=recorder.adapt) as server:
        session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")
        s3, sqs, functions, sagemaker = (
            session.client(name, endpoint_url=server.endpoint_url) for name in ("s3", "sqs", "lambda", "sagemaker")
        )
        s3.create_bucket(Bucket="role-test")
        s3.put_object(Bucket="role-test", Key="code/p.py", Body=PROGRAM.encode())
        s3.put_object(Bucket="role-test", Key="in/a.txt", Body=b"abc")
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("index.py", "def handler(event, context): return event")
        functions.create_function(
            FunctionName="role-test",
            Runtime="python3.11",
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": archive.getvalue()},
        )
        url = sqs.create_queue(QueueName="role-test")["QueueUrl"]
        document = make_definition(url)
        sagemaker.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=json.dumps(document))
        arn = sagemaker.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
        deadline = time.monotonic() + 90
        while not (messages := sqs.receive_message(QueueUrl=url).get("Messages")):
            described = sagemaker.describe_pipeline_execution(PipelineExecutionArn=arn)
            assert described["PipelineExecutionStatus"] == "Executing", described
            assert time.monotonic() < deadline
            threading.Event().wait(0.2)
        sagemaker.send_pipeline_execution_step_success(CallbackToken=json.loads(messages[0]["Body"])["token"])

    aws_url = "https://sqs.us-east-1.amazonaws.com/123456789012/role-test"
    definition = parse_definition(make_definition(aws_url))
    policy: Any = make_execution_role_policy(definition, ACCOUNT, role_arn=ROLE).document
    refused = [call for call in sorted(recorder.calls) if not is_allowed(policy, action=call[0], resource=call[1])]
    assert not refused, "the run does what the policy does not allow"

    compared = {action for action, _ in recorder.calls} | SERVICE_ONLY.keys()
    services = ("s3:", "sqs:", "lambda:", "sagemaker:")
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert {action for action in allowed if action.startswith(services)} == compared, "what is allowed is used"
    for statement in policy["Statement"]:
        if statement["Sid"] in ("ReadObjects", "WriteObjects", "ListBuckets", "CallFunctions", "SendCallbacks"):
            for place in statement["Resource"]:
                assert any(
                    action in statement["Action"]
                    and is_allowed(
                        {"Statement": [{**statement, "Resource": [place]}]}, action=action, resource=resource
                    )
                    for action, resource in recorder.calls
                ), f"{statement['Sid']} of {place} is never used"
