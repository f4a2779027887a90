"""Hyperparameter tuning through unmodified boto3, with trainings that really run."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import IMAGE, ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
SCRIPT = """
import argparse, os
parser = argparse.ArgumentParser()
parser.add_argument("-x", type=float)
x = parser.parse_args().x
open(os.path.join(os.environ["SM_MODEL_DIR"], "x"), "w").write(str(x))
print(f"loss={(x - 2) ** 2:.6f};")
"""


@pytest.fixture(scope="module")
def server(server_with_image: RunningServer) -> RunningServer:
    """The endpoint of this module."""
    return server_with_image


@pytest.fixture(scope="module")
def code(client: Client) -> str:
    """The address of the training script's archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        member = tarfile.TarInfo("train.py")
        member.size = len(SCRIPT)
        tar.addfile(member, io.BytesIO(SCRIPT.encode()))
    s3 = client("s3")
    s3.create_bucket(Bucket="tuning")
    s3.put_object(Bucket="tuning", Key="sourcedir.tar.gz", Body=buffer.getvalue())
    return "s3://tuning/sourcedir.tar.gz"


def tuning_request(code: str, *, jobs: int = 4, **config: Any) -> dict[str, Any]:
    return {
        "HyperParameterTuningJobConfig": {
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "loss"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": jobs, "MaxParallelTrainingJobs": 2},
            "ParameterRanges": {"ContinuousParameterRanges": [{"Name": "x", "MinValue": "0", "MaxValue": "5"}]},
        }
        | config,
        "TrainingJobDefinition": {
            "StaticHyperParameters": {
                "sagemaker_program": json.dumps("train.py"),
                "sagemaker_submit_directory": json.dumps(code),
            },
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*?);"}],
            },
            "RoleArn": ROLE,
            "OutputDataConfig": {"S3OutputPath": "s3://tuning/models"},
            "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        },
    }


def test_a_pipeline_tunes_and_the_best_training_is_known_everywhere(client: Client, wait: Any, code: str) -> None:
    sagemaker = client("sagemaker")
    best = {"Get": "Steps.Tune.BestTrainingJob.TrainingJobName"}
    first = {"Get": "Steps.Tune.TrainingJobSummaries[0].TrainingJobName"}
    same = {"Type": "Equals", "LeftValue": best, "RightValue": first}
    steps = [
        {"Name": "Tune", "Type": "Tuning", "Arguments": tuning_request(code)},
        {"Name": "Same", "Type": "Condition", "Arguments": {"Conditions": [same], "IfSteps": [], "ElseSteps": []}},
    ]
    definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
    sagemaker.create_pipeline(PipelineName="tuning", RoleArn=ROLE, PipelineDefinition=definition)
    arn = sagemaker.start_pipeline_execution(PipelineName="tuning")["PipelineExecutionArn"]
    status = wait(arn)["PipelineExecutionStatus"]
    listed = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert status == "Succeeded", [step.get("FailureReason") for step in listed]
    found = {step["StepName"]: step["Metadata"] for step in listed}
    assert found["Same"]["Condition"]["Outcome"] == "True"

    name = found["Tune"]["TuningJob"]["Arn"].rpartition("/")[2]
    described = sagemaker.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
    assert described["HyperParameterTuningJobStatus"] == "Completed"
    assert described["TrainingJobStatusCounters"]["Completed"] == 4
    best_job = described["BestTrainingJob"]
    x = float(best_job["TunedHyperParameters"]["x"])
    loss = best_job["FinalHyperParameterTuningJobObjectiveMetric"]
    assert loss["Value"] == pytest.approx((x - 2) ** 2, abs=1e-5)
    pages = sagemaker.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
        HyperParameterTuningJobName=name, SortBy="FinalObjectiveMetricValue", PaginationConfig={"PageSize": 2}
    )
    trials = [one for page in pages for one in page["TrainingJobSummaries"]]
    assert len(trials) == 4
    assert trials[0] == best_job
    training = sagemaker.describe_training_job(TrainingJobName=best_job["TrainingJobName"])
    assert training["TuningJobArn"] == described["HyperParameterTuningJobArn"]
    key = f"models/{best_job['TrainingJobName']}/output/model.tar.gz"
    assert training["ModelArtifacts"]["S3ModelArtifacts"] == f"s3://tuning/{key}"
    assert client("s3").head_object(Bucket="tuning", Key=key)["ContentLength"] > 0
    (summary,) = sagemaker.list_hyper_parameter_tuning_jobs(NameContains=name)["HyperParameterTuningJobSummaries"]
    assert summary["Strategy"] == "Bayesian"
    assert summary["ObjectiveStatusCounters"]["Succeeded"] == 4


def test_what_the_engine_does_not_do_is_refused_when_it_is_asked_for(client: Client, wait: Any, code: str) -> None:
    sagemaker = client("sagemaker")
    with pytest.raises(ClientError, match="strategy Hyperband is not run by the local engine"):
        sagemaker.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="no", **tuning_request(code, Strategy="Hyperband")
        )
    steps = [{"Name": "Tune", "Type": "Tuning", "Arguments": tuning_request(code, Strategy="Hyperband")}]
    definition = json.dumps({"Version": "2020-12-01", "Steps": steps})
    sagemaker.create_pipeline(PipelineName="hyperband", RoleArn=ROLE, PipelineDefinition=definition)
    arn = sagemaker.start_pipeline_execution(PipelineName="hyperband")["PipelineExecutionArn"]
    assert wait(arn)["PipelineExecutionStatus"] == "Failed"
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    assert "Hyperband is not run by the local engine" in step["FailureReason"]


@pytest.mark.slow
def test_the_built_in_xgboost_is_tuned_by_its_own_metric(client: Client, wait: Any, code: str) -> None:
    rows = "".join(f"{2 * (n % 17) + n % 5},{n % 17},{n % 5}\n" for n in range(200))
    for name in ("train", "validation"):
        client("s3").put_object(Bucket="tuning", Key=f"{name}/a.csv", Body=rows.encode())

    def channel(name: str) -> dict[str, Any]:
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://tuning/{name}/"}
        return {"ChannelName": name, "DataSource": {"S3DataSource": source}, "ContentType": "text/csv"}

    request = tuning_request(
        code,
        jobs=3,
        HyperParameterTuningJobObjective={"Type": "Minimize", "MetricName": "validation:rmse"},
        ParameterRanges={"IntegerParameterRanges": [{"Name": "max_depth", "MinValue": "1", "MaxValue": "4"}]},
    )
    definition = request["TrainingJobDefinition"]
    definition["StaticHyperParameters"] = {"num_round": "8", "objective": "reg:squarederror"}
    definition["AlgorithmSpecification"] = {
        "TrainingImage": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-xgboost:1.7-1",
        "TrainingInputMode": "File",
    }
    definition["InputDataConfig"] = [channel("train"), channel("validation")]
    steps = [{"Name": "Tune", "Type": "Tuning", "Arguments": request}]
    sagemaker = client("sagemaker")
    text = json.dumps({"Version": "2020-12-01", "Steps": steps})
    sagemaker.create_pipeline(PipelineName="xgboost", RoleArn=ROLE, PipelineDefinition=text)
    arn = sagemaker.start_pipeline_execution(PipelineName="xgboost")["PipelineExecutionArn"]
    assert wait(arn)["PipelineExecutionStatus"] == "Succeeded"
    (step,) = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=arn)["PipelineExecutionSteps"]
    name = step["Metadata"]["TuningJob"]["Arn"].rpartition("/")[2]
    trials = sagemaker.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name, SortBy="FinalObjectiveMetricValue"
    )["TrainingJobSummaries"]
    assert len(trials) == 3
    depths = [int(one["TunedHyperParameters"]["max_depth"]) for one in trials]
    assert depths == sorted(depths, reverse=True), "deeper trees fit this data better"
