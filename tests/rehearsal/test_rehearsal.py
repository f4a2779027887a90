"""Rehearsals on a real endpoint with real processes: what is missing is made up, what is there is used."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import ParameterError
from airflow_sm_pipelines.rehearsal import Rehearsal, RehearsalReport
from tests.airflow_runs import write_image_table
from tests.rehearsal.steps import REGISTRY, RESOURCES, ROLE, processing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QUEUE = "https://sqs.us-east-1.amazonaws.com/123456789012/nobody"


def output_of(step: str) -> dict[str, str]:
    return {"Get": f"Steps.{step}.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"}


def whole_pipeline() -> str:
    """Everything that may be missing: data, scripts, a closed image, a function, a queue, a model, a cluster."""
    report = {"PropertyFileName": "Report", "OutputName": "out", "FilePath": "report.json"}
    metric = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.Evaluate.PropertyFiles.Report"}, "Path": "rmse.value"}}
    channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": output_of("Prepare")}}
    train = {
        "RoleArn": ROLE,
        "AlgorithmSpecification": {"TrainingImage": f"{REGISTRY}/blazingtext:1", "TrainingInputMode": "Pipe"},
        "InputDataConfig": [{"ChannelName": "train", "DataSource": channel}],
        "OutputDataConfig": {"S3OutputPath": "s3://results/models"},
        "ResourceConfig": RESOURCES,
        "StoppingCondition": {"MaxRuntimeInSeconds": 600},
    }
    model = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    cluster = {"Get": "Steps.Spark.ClusterId"}
    score = {
        "ModelName": {"Get": "Steps.Model.ModelName"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": {"Get": "Parameters.BatchUri"}}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://results/scores", "Accept": "text/csv"},
        "TransformResources": {"InstanceCount": 1, "InstanceType": "ml.m5.large"},
    }
    primary = {"Image": f"{REGISTRY}/blazingtext:1", "ModelDataUrl": model}
    if_steps = [
        {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": primary, "ExecutionRoleArn": ROLE}},
        {"Name": "Score", "Type": "Transform", "Arguments": score},
    ]
    fail = {"Name": "Bad", "Type": "Fail", "Arguments": {"ErrorMessage": "worse than the limit"}}
    limit = {"Get": "Parameters.Limit"}
    conditions = [
        {"Type": "LessThan", "LeftValue": metric, "RightValue": limit},
        {"Type": "Equals", "LeftValue": {"Get": "Steps.Ask.OutputParameters['verdict']"}, "RightValue": "go"},
        {"Type": "Equals", "LeftValue": {"Get": "Steps.Wait.OutputParameters['count']"}, "RightValue": 3},
    ]
    steps = [
        {"Name": "Spark", "Type": "EMR", "ClusterId": "j-1", "Arguments": {"StepConfig": {"HadoopJarStep": {}}}},
        processing("Prepare", inputs={"raw": "s3://nowhere/raw"}),
        {"Name": "Train", "Type": "Training", "Arguments": train},
        processing(
            "Evaluate",
            inputs={"test": output_of("Prepare")},
            PropertyFiles=[report],
            CacheConfig={"Enabled": True, "ExpireAfter": "P1D"},
        ),
        {
            "Name": "Ask",
            "Type": "Lambda",
            "FunctionArn": "arn:aws:lambda:eu-west-1:210987654321:function:ask",
            "Arguments": {"cluster": cluster},
            "OutputParameters": [{"OutputName": "verdict", "OutputType": "String"}],
        },
        {
            "Name": "Wait",
            "Type": "Callback",
            "SqsQueueUrl": QUEUE,
            "Arguments": {},
            "OutputParameters": [{"OutputName": "count", "OutputType": "Integer"}],
        },
        {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {"Conditions": conditions, "IfSteps": if_steps, "ElseSteps": [fail]},
        },
    ]
    parameters = [
        {"Name": "Limit", "Type": "Float", "DefaultValue": 0.5},
        {"Name": "BatchUri", "Type": "String"},
    ]
    return json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps})


def statuses(report: RehearsalReport) -> dict[str, str]:
    return {step.name: step.status for step in report.steps}


def explain(report: RehearsalReport) -> str:
    return "; ".join(f"{step.name}: {step.failure_reason}" for step in report.steps if step.failure_reason)


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """One endpoint for all rehearsals of this module; the model monitor's program runs on the tests' interpreter."""
    table = write_image_table(tmp_path_factory.mktemp("images"), "sagemaker-model-monitor-analyzer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_PIPELINES_IMAGES", str(table))
        with Rehearsal() as running:
            yield running


def test_a_parameter_that_a_step_has_as_an_address_gets_an_address(rehearsal: Rehearsal) -> None:
    step = processing("Prepare", inputs={"raw": {"Get": "Parameters.Raw"}})
    definition = {"Version": "2020-12-01", "Parameters": [{"Name": "Raw", "Type": "String"}], "Steps": [step]}
    report = rehearsal.run(json.dumps(definition), name="addressed")
    assert report.is_success, explain(report)
    assert report.made_parameters == {"Raw": "s3://sm-pipelines-rehearsal/S3Uri/Raw"}


def test_a_pipeline_of_which_nothing_is_there_runs_to_its_end(rehearsal: Rehearsal) -> None:
    report = rehearsal.run(whole_pipeline(), name="whole")
    assert report.is_success, explain(report)
    assert set(statuses(report).values()) == {"Succeeded"}
    assert report.not_started == ("Bad",)
    assert str(report.made_parameters["BatchUri"]).startswith("s3://")
    stood_in = {step.name: step.stood_in for step in report.steps}
    assert stood_in == {
        "Spark": ("step of type EMR",),
        "Prepare": ("script prepare.py", "data s3://nowhere/raw"),
        "Train": ("program of the image blazingtext",),
        "Evaluate": ("script prepare.py",),
        "Ask": ("function ask",),
        "Wait": ("answer to the callback",),
        "Check": (),
        "Model": (),
        "Score": (stood_in["Score"][0], f"data {report.made_parameters['BatchUri']}"),
    }
    assert stood_in["Score"][0].startswith("model s3://results/models/")
    s3 = rehearsal.s3
    scores = s3.get_object(Bucket="results", Key="scores/sample.csv.out")["Body"].read().decode()
    assert set(scores.split()) == {"0.5"}


def test_the_other_branch_is_taken_where_that_is_wanted(rehearsal: Rehearsal) -> None:
    report = rehearsal.run(whole_pipeline(), name="whole", takes_else=lambda step: step == "Check")
    assert statuses(report)["Bad"] == "Failed"
    assert explain(report) == "Bad: worse than the limit"
    evaluated = next(step for step in report.steps if step.name == "Evaluate")
    assert evaluated.stood_in == ("script prepare.py",), "it ran again, though its cache is on and nothing changed"
    assert report.not_started == ("Model", "Score")


def test_a_real_script_is_run_and_what_it_does_not_write_is_not_made_up(rehearsal: Rehearsal, tmp_path: Path) -> None:
    script = tmp_path / "real.py"
    script.write_text("print('I write nothing')\n")
    rehearsal.upload("s3://ours/real.py", script)
    steps = [
        processing("First", inputs={}, script="s3://ours/real.py"),
        processing("Second", inputs={"data": output_of("First")}),
    ]
    for step in steps[:1]:
        step["Arguments"]["AppSpecification"]["ImageUri"] = "rehearsal"
    report = rehearsal.run(json.dumps({"Version": "2020-12-01", "Steps": steps}), name="real")
    assert statuses(report) == {"First": "Succeeded", "Second": "Failed"}
    assert "S3 key: s3://results/First matched no files on s3" in explain(report)
    assert report.steps[0].stood_in == ()


def test_a_data_quality_check_really_looks_at_made_up_data(rehearsal: Rehearsal) -> None:
    check = processing("Check", inputs={"baseline_dataset_input": "s3://nowhere/baseline"})
    arguments = check["Arguments"]
    arguments["AppSpecification"] = {"ImageUri": f"{REGISTRY}/sagemaker-model-monitor-analyzer"}
    arguments["ProcessingInputs"] = arguments["ProcessingInputs"][:1]
    arguments["Environment"] = {
        "dataset_format": json.dumps({"csv": {"header": False}}),
        "dataset_source": arguments["ProcessingInputs"][0]["S3Input"]["LocalPath"],
        "output_path": "/opt/ml/processing/out",
    }
    check |= {"Type": "QualityCheck", "CheckType": "DATA_QUALITY", "SkipCheck": True, "RegisterNewBaseline": True}
    report = rehearsal.run(json.dumps({"Version": "2020-12-01", "Steps": [check]}), name="quality")
    assert report.is_success, explain(report)
    assert report.steps[0].stood_in == ("data s3://nowhere/baseline",)
    found = rehearsal.s3.get_object(Bucket="results", Key="Check/statistics.json")["Body"].read()
    assert json.loads(found)["dataset"]["item_count"] == 40


def test_values_that_do_not_fit_are_refused_before_anything_runs(rehearsal: Rehearsal) -> None:
    with pytest.raises(ParameterError, match="Limit"):
        rehearsal.run(whole_pipeline(), parameters={"Limit": "much"})


@pytest.mark.parametrize("bucket", ["${bucket}", "b"])
def test_a_bucket_that_cannot_be_is_named(rehearsal: Rehearsal, bucket: str) -> None:
    step = processing("Prepare", inputs={"raw": f"s3://{bucket}/raw"})
    report = rehearsal.run(json.dumps({"Version": "2020-12-01", "Steps": [step]}), name="template")
    said = f"s3://{bucket}/raw names the bucket '{bucket}', and no bucket may have that name"
    assert said in explain(report)
