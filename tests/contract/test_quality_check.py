"""QualityCheck steps through unmodified boto3: a first baseline, later checks against it, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.conftest import ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
IMAGE = "156813124566.dkr.ecr.us-east-1.amazonaws.com/sagemaker-model-monitor-analyzer"
FIRST = {"SkipCheck": True, "RegisterNewBaseline": True}


@pytest.fixture(scope="module")
def server(server_with_image: RunningServer) -> RunningServer:
    """The endpoint of this module."""
    return server_with_image


@pytest.fixture(scope="module")
def data(client: Client) -> Client:
    """A bucket with a dataset, one like it, and one that drifted."""
    s3 = client("s3")
    s3.create_bucket(Bucket="quality")
    for name, mean, seed in (("base", 0, 1), ("same", 0, 2), ("moved", 3, 3)):
        rng = random.Random(seed)
        rows = "".join(f"{rng.gauss(mean, 1)},{rng.choice('ab')}\n" for _ in range(800))
        s3.put_object(Bucket="quality", Key=f"{name}/data.csv", Body=rows.encode())
    return client


def check_step(dataset: str, output: str, **attributes: Any) -> dict[str, Any]:
    """A step as SDK v2 writes it."""
    source = "/opt/ml/processing/input/baseline_dataset_input"
    return {
        "Name": "Check",
        "Type": "QualityCheck",
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
            },
            "AppSpecification": {"ImageUri": IMAGE},
            "RoleArn": ROLE,
            "ProcessingInputs": [
                {
                    "InputName": "baseline_dataset_input",
                    "AppManaged": False,
                    "S3Input": {
                        "S3Uri": f"s3://quality/{dataset}",
                        "LocalPath": source,
                        "S3DataType": "S3Prefix",
                        "S3InputMode": "File",
                    },
                }
            ],
            "ProcessingOutputConfig": {
                "Outputs": [
                    {
                        "OutputName": "quality_check_output",
                        "AppManaged": False,
                        "S3Output": {
                            "S3Uri": f"s3://quality/{output}",
                            "LocalPath": "/opt/ml/processing/output",
                            "S3UploadMode": "EndOfJob",
                        },
                    }
                ]
            },
            "Environment": {
                "output_path": "/opt/ml/processing/output",
                "publish_cloudwatch_metrics": "Disabled",
                "dataset_format": '{"csv": {"header": false, "output_columns_position": "START"}}',
                "dataset_source": source,
            },
        },
        "CheckType": "DATA_QUALITY",
        "ModelPackageGroupName": None,
        "SkipCheck": False,
        "FailOnViolation": True,
        "RegisterNewBaseline": False,
        "SuppliedBaselineStatistics": None,
        "SuppliedBaselineConstraints": None,
    } | attributes


def run(client: Client, wait: Any, name: str, *steps: Any, parameters: Any = ()) -> dict[str, dict[str, Any]]:
    sagemaker = client("sagemaker")
    definition = {"Version": "2020-12-01", "Parameters": list(parameters), "Steps": list(steps)}
    sagemaker.create_pipeline(PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps(definition))
    arn = sagemaker.start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    wait(arn)
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    return {step["StepName"]: step for step in listed}


def read_json(client: Client, uri: str) -> Any:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return json.loads(client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def test_a_baseline_is_calculated_registered_and_checked_against(data: Client, wait: Any) -> None:
    sagemaker = data("sagemaker")
    say = {"Get": "Steps.Check.BaselineUsedForDriftCheckConstraints"}
    equals = {"Type": "Equals", "LeftValue": say, "RightValue": "s3://quality/first/constraints.json"}
    condition = {"Name": "Is", "Type": "Condition"}
    arguments = {"Conditions": [equals], "IfSteps": [], "ElseSteps": []}
    steps = run(data, wait, "first", check_step("base", "first", **FIRST), condition | {"Arguments": arguments})
    assert steps["Is"]["Metadata"]["Condition"]["Outcome"] == "True"
    found = steps["Check"]["Metadata"]["QualityCheck"]
    assert (found["SkipCheck"], found["RegisterNewBaseline"]) == (True, True)
    assert "ViolationReport" not in found
    features = read_json(data, found["CalculatedBaselineStatistics"])["features"]
    assert [feature["inferred_type"] for feature in features] == ["Fractional", "String"]

    sagemaker.create_model_package_group(ModelPackageGroupName="checked")
    baselines = {
        name: {"ContentType": "application/json", "S3Uri": found[f"CalculatedBaseline{name}"]}
        for name in ("Statistics", "Constraints")
    }
    package = sagemaker.create_model_package(
        ModelPackageGroupName="checked",
        ModelApprovalStatus="PendingManualApproval",
        DriftCheckBaselines={"ModelDataQuality": baselines},
    )["ModelPackageArn"]
    step = check_step("same", "early", ModelPackageGroupName="checked")
    assert "there is no baseline to check against" in run(data, wait, "early", step)["Check"]["FailureReason"]

    sagemaker.update_model_package(ModelPackageArn=package, ModelApprovalStatus="Approved")
    step = check_step("same", "second", ModelPackageGroupName="checked")
    checked = run(data, wait, "second", step)["Check"]
    assert checked["StepStatus"] == "Succeeded", checked
    metadata = checked["Metadata"]["QualityCheck"]
    assert metadata["BaselineUsedForDriftCheckConstraints"] == "s3://quality/first/constraints.json"
    assert metadata["CalculatedBaselineConstraints"] == "s3://quality/second/constraints.json"
    assert read_json(data, metadata["ViolationReport"]) == {"violations": []}


def test_drift_fails_the_step_unless_violations_are_only_reported(data: Client, wait: Any) -> None:
    run(data, wait, "supplied", check_step("base", "supplied", **FIRST))
    supplied = {
        "SuppliedBaselineStatistics": "s3://quality/supplied/statistics.json",
        "SuppliedBaselineConstraints": {"Get": "Parameters.Constraints"},
    }
    parameter = {"Name": "Constraints", "Type": "String", "DefaultValue": "s3://quality/supplied/constraints.json"}
    step = check_step("moved", "strict", **supplied)
    failed = run(data, wait, "strict", step, parameters=[parameter])["Check"]
    assert failed["StepStatus"] == "Failed"
    assert "1 violations of the baseline" in failed["FailureReason"]
    assert "_c0: baseline_drift_check: Baseline drift distance" in failed["FailureReason"]
    report = failed["Metadata"]["QualityCheck"]["ViolationReport"]
    assert [one["feature_name"] for one in read_json(data, report)["violations"]] == ["_c0"]
    job = failed["Metadata"]["QualityCheck"]["CheckJobArn"].rpartition("/")[2]
    described = data("sagemaker").describe_processing_job(ProcessingJobName=job)
    assert described["ExitMessage"] == "CompletedWithViolations: Job completed successfully with 1 violations."

    step = check_step("moved", "lenient", FailOnViolation=False, **supplied)
    passed = run(data, wait, "lenient", step, parameters=[parameter])["Check"]
    assert passed["StepStatus"] == "Succeeded"
    assert passed["Metadata"]["QualityCheck"]["ViolationReport"] == "s3://quality/lenient/constraint_violations.json"


def test_a_check_that_is_not_computed_here_fails_and_says_what_to_do(data: Client, wait: Any) -> None:
    step = run(data, wait, "model-quality", check_step("base", "x", CheckType="MODEL_QUALITY", **FIRST))["Check"]
    assert step["StepStatus"] == "Failed"
    assert "A QualityCheck of type MODEL_QUALITY has no local meaning" in step["FailureReason"]
    assert "[[stand_in]]" in step["FailureReason"]
