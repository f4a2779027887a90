"""QualityCheck and ClarifyCheck steps through unmodified boto3: baselines, checks against them, and what is refused."""

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
CLARIFY_IMAGE = "205585389593.dkr.ecr.us-east-1.amazonaws.com/sagemaker-clarify-processing:1.0"
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
    for name, slip in (("good", 0.1), ("bad", 3.0)):
        rng = random.Random(4)
        rows = "".join(f"{n + rng.gauss(0, slip)},{n}\n" for n in range(300))
        s3.put_object(Bucket="quality", Key=f"{name}/test.csv.out", Body=rows.encode())
    for name, share in (("fair", 0.5), ("unfair", 0.2)):
        rng = random.Random(5)
        rows = "".join(f"{sex},{int(rng.random() < (0.5 if sex == 'M' else share))}\n" for sex in "MF" * 200)
        s3.put_object(Bucket="quality", Key=f"{name}/people.csv", Body=rows.encode())
    config = {
        "dataset_type": "text/csv",
        "headers": ["sex", "hired"],
        "label": "hired",
        "label_values_or_threshold": [1],
        "facet": [{"name_or_index": "sex", "value_or_threshold": ["F"]}],
        "methods": {"pre_training_bias": {"methods": ["CI", "DPL"]}, "report": {"name": "report", "title": "Report"}},
    }
    s3.put_object(Bucket="quality", Key="config/analysis_config.json", Body=json.dumps(config).encode())
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
    assert "ViolationReport" not in metadata
    assert read_json(data, "s3://quality/second/constraint_violations.json") == {"violations": []}


def test_drift_fails_the_step_unless_violations_are_only_reported(data: Client, wait: Any) -> None:
    run(data, wait, "supplied", check_step("base", "supplied", **FIRST))
    supplied = {
        "SuppliedBaselineStatistics": "s3://quality/supplied/statistics.json",
        "SuppliedBaselineConstraints": {"Get": "Parameters.Constraints"},
    }
    parameter = {"Name": "Constraints", "Type": "String", "DefaultValue": "s3://quality/supplied/constraints.json"}
    # The SDKs write null where the user says nothing.
    step = check_step("moved", "strict", FailOnViolation=None, **supplied)
    failed = run(data, wait, "strict", step, parameters=[parameter])["Check"]
    assert failed["StepStatus"] == "Failed"
    assert failed["FailureReason"].startswith(
        "ClientError: Quality check failed. See violation report s3://quality/strict/constraint_violations.json: "
        "1 violations. The first: "
    )
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


def model_check_step(dataset: str, output: str, **attributes: Any) -> dict[str, Any]:
    """A step as SDK v2 writes it, for the predictions and labels that a transform job joined."""
    step = check_step(dataset, output, CheckType="MODEL_QUALITY", **attributes)
    step["Arguments"]["Environment"] |= {
        "analysis_type": "MODEL_QUALITY",
        "problem_type": "Regression",
        "inference_attribute": "_c0",
        "ground_truth_attribute": "_c1",
    }
    return step


def bias_check_step(dataset: str, output: str, **attributes: Any) -> dict[str, Any]:
    """A step as SDK v2 writes it: the analysis is in a file, the container's paths are fixed."""
    step = check_step(dataset, output, CheckType="DATA_BIAS", **attributes) | {"Type": "ClarifyCheck"}
    del step["SuppliedBaselineStatistics"]
    arguments = step["Arguments"]
    del arguments["Environment"]
    (source,) = arguments["ProcessingInputs"]
    (result,) = arguments["ProcessingOutputConfig"]["Outputs"]
    paths = {"config": "/opt/ml/processing/input/config", dataset: "/opt/ml/processing/input/data"}
    arguments["ProcessingInputs"] = [
        source
        | {
            "InputName": path.rpartition("/")[2],
            "S3Input": source["S3Input"] | {"S3Uri": f"s3://quality/{prefix}", "LocalPath": path},
        }
        for prefix, path in paths.items()
    ]
    result["OutputName"] = "analysis_result"
    arguments["AppSpecification"] = {"ImageUri": CLARIFY_IMAGE}
    return step


def test_a_model_that_has_become_worse_fails_the_check_of_its_quality(data: Client, wait: Any) -> None:
    first = run(data, wait, "good-model", model_check_step("good", "model-first", **FIRST))["Check"]
    metadata = first["Metadata"]["QualityCheck"]
    assert (first["StepStatus"], metadata["CheckType"]) == ("Succeeded", "MODEL_QUALITY")
    metrics = read_json(data, metadata["CalculatedBaselineStatistics"])["regression_metrics"]
    assert 0 < metrics["rmse"]["value"] < 0.2
    assert metrics["rmse"]["standard_deviation"] > 0

    data("sagemaker").create_model_package_group(ModelPackageGroupName="judged")
    constraints = {"ContentType": "application/json", "S3Uri": metadata["CalculatedBaselineConstraints"]}
    data("sagemaker").create_model_package(
        ModelPackageGroupName="judged",
        ModelApprovalStatus="Approved",
        DriftCheckBaselines={"ModelQuality": {"Constraints": constraints}},
    )
    step = model_check_step("bad", "model-second", ModelPackageGroupName="judged")
    failed = run(data, wait, "bad-model", step)["Check"]
    assert failed["StepStatus"] == "Failed"
    assert "4 violations. The first" in failed["FailureReason"]
    assert "The first: mae: GreaterThanThreshold: Metric mae with 2." in failed["FailureReason"]
    violations = read_json(data, failed["Metadata"]["QualityCheck"]["ViolationReport"])["violations"]
    assert [one["metric_name"] for one in violations] == ["mae", "mse", "rmse", "r2"]


def test_a_dataset_that_has_become_unfair_fails_the_check_of_its_bias(data: Client, wait: Any) -> None:
    first = run(data, wait, "fair-data", bias_check_step("fair", "bias-first", **FIRST))["Check"]
    metadata = first["Metadata"]["ClarifyCheck"]
    assert first["StepStatus"] == "Succeeded", first
    assert metadata["CalculatedBaselineConstraints"] == "s3://quality/bias-first/analysis.json"
    (group,) = read_json(data, metadata["CalculatedBaselineConstraints"])["pre_training_bias_metrics"]["facets"]["sex"]
    assert group["value_or_threshold"] == "F"
    assert [metric["name"] for metric in group["metrics"]] == ["CI", "DPL"]

    supplied = {"SuppliedBaselineConstraints": metadata["CalculatedBaselineConstraints"]}
    failed = run(data, wait, "unfair-data", bias_check_step("unfair", "bias-second", **supplied))["Check"]
    assert failed["StepStatus"] == "Failed"
    assert "1 violations. The first" in failed["FailureReason"]
    assert "The first: sex F DPL: bias_drift_check: Value 0." in failed["FailureReason"]
    same = run(data, wait, "still-fair", bias_check_step("fair", "bias-third", **supplied))["Check"]
    assert same["StepStatus"] == "Succeeded"
    assert same["Metadata"]["ClarifyCheck"]["BaselineUsedForDriftCheckConstraints"].endswith("bias-first/analysis.json")


def test_a_check_with_a_cache_is_not_computed_again(data: Client, wait: Any) -> None:
    sagemaker = data("sagemaker")
    cache = {"CacheConfig": {"Enabled": True, "ExpireAfter": "P1D"}}
    found = []
    for skip in (True, True, False):
        step = bias_check_step("fair", "bias-cached", **cache, SkipCheck={"Get": "Parameters.Skip"})
        step["SuppliedBaselineConstraints"] = "s3://quality/bias-cached/analysis.json"
        parameter = {"Name": "Skip", "Type": "Boolean"}
        definition = json.dumps({"Version": "2020-12-01", "Parameters": [parameter], "Steps": [step]})
        if not found:
            sagemaker.create_pipeline(PipelineName="cached-check", RoleArn=ROLE, PipelineDefinition=definition)
        arn = sagemaker.start_pipeline_execution(
            PipelineName="cached-check", PipelineParameters=[{"Name": "Skip", "Value": str(skip).lower()}]
        )["PipelineExecutionArn"]
        assert wait(arn)["PipelineExecutionStatus"] == "Succeeded"
        (listed,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
        found.append(listed)
    first, second, third = found
    assert "CacheHitResult" not in first
    assert "CacheHitResult" in second
    assert second["Metadata"] == first["Metadata"]
    # Another flag asks for another result.
    assert "CacheHitResult" not in third


def test_a_check_that_needs_a_model_fails_and_says_what_to_do(data: Client, wait: Any) -> None:
    attributes = FIRST | {"CheckType": "MODEL_BIAS", "ModelName": "some-model"}
    step = run(data, wait, "model-bias", bias_check_step("fair", "x") | attributes)["Check"]
    assert step["StepStatus"] == "Failed"
    assert "A ClarifyCheck of type MODEL_BIAS has no local meaning: only DATA_BIAS is" in step["FailureReason"]
    assert "[[stand_in]]" in step["FailureReason"]
