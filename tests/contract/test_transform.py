"""Batch transform through unmodified boto3: jobs of a client's own, and the steps of a pipeline."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import IMAGE, ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
SCRIPT = """
def model_fn(model_dir): return None
def transform_fn(model, data, content_type, accept):
    return "\\n".join(str(sum(float(item) for item in line.split(","))) for line in data.splitlines())
"""


@pytest.fixture(scope="module")
def server(server_with_image: RunningServer) -> RunningServer:
    """The endpoint of this module."""
    return server_with_image


@pytest.fixture(scope="module")
def model_data(client: Client) -> str:
    """The address of a model whose inference code sums up columns; the bucket holds an input, too."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(SCRIPT)
        tar.addfile(member, io.BytesIO(SCRIPT.encode()))
    s3 = client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="model.tar.gz", Body=buffer.getvalue())
    s3.put_object(Bucket="bucket", Key="in/a.csv", Body=b"1,2\n3,4\n")
    return "s3://bucket/model.tar.gz"


def transform_request(model: Any, output: str, *, source: str = "s3://bucket/in") -> dict[str, Any]:
    return {
        "ModelName": model,
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": source}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": output, "AssembleWith": "Line", "Accept": "text/csv"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }


def wait_for_job(sagemaker: Any, name: str) -> dict[str, Any]:
    sagemaker.get_waiter("transform_job_completed_or_stopped").wait(
        TransformJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    described: dict[str, Any] = sagemaker.describe_transform_job(TransformJobName=name)
    return described


def test_a_clients_own_job_runs_and_is_described_and_listed(client: Client, model_data: str) -> None:
    sagemaker = client("sagemaker")
    sagemaker.create_model(
        ModelName="sums", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": IMAGE, "ModelDataUrl": model_data}
    )
    arn = sagemaker.create_transform_job(TransformJobName="own", **transform_request("sums", "s3://bucket/own"))
    assert arn["TransformJobArn"] == "arn:aws:sagemaker:us-east-1:123456789012:transform-job/own"
    described = wait_for_job(sagemaker, "own")
    assert described["TransformJobStatus"] == "Completed", described
    assert described["CreationTime"] <= described["TransformStartTime"] <= described["TransformEndTime"]
    assert client("s3").get_object(Bucket="bucket", Key="own/a.csv.out")["Body"].read() == b"3.0\n7.0\n"
    (summary,) = sagemaker.list_transform_jobs(NameContains="own", StatusEquals="Completed")["TransformJobSummaries"]
    assert timedelta(0) <= summary["LastModifiedTime"] - described["TransformEndTime"] < timedelta(seconds=1)
    with pytest.raises(ClientError, match="only jobs that are in progress can be stopped"):
        sagemaker.stop_transform_job(TransformJobName="own")


def test_a_job_of_an_unknown_model_is_refused(client: Client, model_data: str) -> None:
    with pytest.raises(ClientError, match='Could not find model "arn:aws:sagemaker:us-east-1:123456789012:model/no"'):
        client("sagemaker").create_transform_job(TransformJobName="no", **transform_request("no", "s3://bucket/no"))


def test_a_registered_package_is_what_a_model_may_be_made_of(client: Client, model_data: str) -> None:
    sagemaker = client("sagemaker")
    sagemaker.create_model_package_group(ModelPackageGroupName="group")
    container = {"Image": IMAGE, "ModelDataUrl": model_data}
    package = sagemaker.create_model_package(
        ModelPackageGroupName="group",
        InferenceSpecification={
            "Containers": [container],
            "SupportedContentTypes": ["text/csv"],
            "SupportedResponseMIMETypes": ["text/csv"],
        },
    )["ModelPackageArn"]
    sagemaker.create_model(ModelName="packaged", ExecutionRoleArn=ROLE, Containers=[{"ModelPackageName": package}])
    sagemaker.create_transform_job(TransformJobName="packed", **transform_request("packaged", "s3://bucket/packed"))
    assert wait_for_job(sagemaker, "packed")["TransformJobStatus"] == "Completed"


def run_pipeline(client: Client, wait: Any, name: str, steps: list[Any]) -> tuple[str, dict[str, Any]]:
    sagemaker = client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": steps})
    )
    arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    status = wait(arn)["PipelineExecutionStatus"]
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return status, {step["StepName"]: step for step in listed}


def test_a_pipeline_makes_a_model_and_transforms_with_it(client: Client, wait: Any, model_data: str) -> None:
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": model_data}}
    place = {"Get": "Steps.Score.TransformOutput.S3OutputPath"}
    steps = [
        {"Name": "Make-CreateModel", "Type": "Model", "Arguments": model},
        {
            "Name": "Score",
            "Type": "Transform",
            "Arguments": transform_request({"Get": "Steps.Make-CreateModel.ModelName"}, "s3://bucket/scored"),
        },
        {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": place, "RightValue": "s3://bucket/scored"}],
                "IfSteps": [],
                "ElseSteps": [],
            },
        },
    ]
    status, found = run_pipeline(client, wait, "scoring", steps)
    assert status == "Succeeded", found
    assert found["Check"]["Metadata"]["Condition"]["Outcome"] == "True"
    arn = found["Score"]["Metadata"]["TransformJob"]["Arn"]
    described = client("sagemaker").describe_transform_job(TransformJobName=arn.rpartition("/")[2])
    assert described["TransformJobStatus"] == "Completed"
    assert client("s3").get_object(Bucket="bucket", Key="scored/a.csv.out")["Body"].read() == b"3.0\n7.0\n"


def test_a_step_without_input_fails_with_the_recorded_reason(client: Client, wait: Any, model_data: str) -> None:
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": model_data}}
    arguments = transform_request({"Get": "Steps.Make.ModelName"}, "s3://bucket/x", source="s3://bucket/missing")
    steps = [
        {"Name": "Make", "Type": "Model", "Arguments": model},
        {"Name": "Score", "Type": "Transform", "Arguments": arguments},
    ]
    status, found = run_pipeline(client, wait, "no-input", steps)
    assert status == "Failed"
    assert found["Score"]["FailureReason"] == ("ClientError: S3 key: s3://bucket/missing matched no files on s3")
