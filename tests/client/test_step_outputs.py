"""What each kind of step yields and reads, from answers shaped as the API shapes them."""

from __future__ import annotations

from typing import Any

import botocore.session
import pytest

from airflow_sm_pipelines.client.step_outputs import default_outputs, read_data

OBJECTIVE = {"MetricName": "rmse", "Value": 4.5}
CHANNEL = {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/train"}}}
CHECK = {
    "CheckType": "MODEL_BIAS",
    "ViolationReport": "s3://b/violations.json",
    "CalculatedBaselineConstraints": "s3://b/constraints.json",
    "BaselineUsedForDriftCheckConstraints": "s3://b/old.json",
    "CheckJobArn": "arn:j",
}

CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "processing": (
        "ProcessingJob",
        {
            "ProcessingJobName": "p",
            "ProcessingInputs": [
                {"InputName": "code", "S3Input": {"S3Uri": "s3://b/code.py"}},
                {"InputName": "input-1", "S3Input": {"S3Uri": "s3://b/raw"}},
                {"InputName": "warehouse", "DatasetDefinition": {}},
            ],
            "ProcessingOutputConfig": {"Outputs": [{"OutputName": "train", "S3Output": {"S3Uri": "s3://b/train"}}]},
        },
        {"job_name": "p", "outputs": {"train": "s3://b/train"}},
        (("s3://b/raw",), ("s3://b/train",)),
    ),
    "training": (
        "TrainingJob",
        {
            "TrainingJobName": "t",
            "InputDataConfig": [CHANNEL],
            "ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"},
            "FinalMetricDataList": [OBJECTIVE],
        },
        {"job_name": "t", "model": "s3://b/model.tar.gz", "metrics": {"rmse": 4.5}},
        (("s3://b/train",), ("s3://b/model.tar.gz",)),
    ),
    "transform": (
        "TransformJob",
        {
            "TransformJobName": "x",
            "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}},
            "TransformOutput": {"S3OutputPath": "s3://b/out"},
        },
        {"job_name": "x", "output": "s3://b/out"},
        (("s3://b/in",), ("s3://b/out",)),
    ),
    "tuning": (
        "TuningJob",
        {
            "HyperParameterTuningJobName": "h",
            "TrainingJobDefinition": {"InputDataConfig": [CHANNEL], "OutputDataConfig": {"S3OutputPath": "s3://b/out"}},
            "BestTrainingJob": {
                "TrainingJobName": "h-1",
                "TunedHyperParameters": {"eta": "0.1"},
                "FinalHyperParameterTuningJobObjectiveMetric": OBJECTIVE,
            },
        },
        {
            "job_name": "h",
            "best_training_job": "h-1",
            "best_hyperparameters": {"eta": "0.1"},
            "objective": {"rmse": 4.5},
        },
        (("s3://b/train",), ("s3://b/out",)),
    ),
    "auto_ml": (
        "AutoMLJob",
        {
            "AutoMLJobName": "a",
            "InputDataConfig": [CHANNEL],
            "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
            "BestCandidate": {
                "CandidateName": "c",
                "FinalAutoMLJobObjectiveMetric": OBJECTIVE,
                "InferenceContainers": [{"Image": "i", "ModelDataUrl": "s3://b/model.tar.gz"}],
            },
        },
        {
            "job_name": "a",
            "best_candidate": "c",
            "objective": {"rmse": 4.5},
            "models": ["s3://b/model.tar.gz"],
            "output": "s3://b/out",
        },
        (("s3://b/train",), ("s3://b/out",)),
    ),
    "model_package": (
        "RegisterModel",
        {
            "ModelPackageArn": "arn:p",
            "ModelPackageGroupName": "g",
            "ModelPackageVersion": 3,
            "ModelApprovalStatus": "Approved",
            "InferenceSpecification": {"Containers": [{"Image": "i", "ModelDataUrl": "s3://b/model.tar.gz"}]},
        },
        {
            "model_package_arn": "arn:p",
            "model_package_group": "g",
            "model_package_version": 3,
            "approval_status": "Approved",
        },
        (("s3://b/model.tar.gz",), ("arn:p",)),
    ),
    "clarify_check": (
        "ClarifyCheck",
        CHECK,
        {
            "check_type": "MODEL_BIAS",
            "violation_report": "s3://b/violations.json",
            "constraints": "s3://b/constraints.json",
            "baseline_constraints": "s3://b/old.json",
            "job_arn": "arn:j",
        },
        (("s3://b/old.json",), ("s3://b/violations.json", "s3://b/constraints.json")),
    ),
    "quality_check": (
        "QualityCheck",
        {
            "CheckType": "DATA_QUALITY",
            "CalculatedBaselineStatistics": "s3://b/statistics.json",
            "BaselineUsedForDriftCheckStatistics": "s3://b/before.json",
        },
        {
            "check_type": "DATA_QUALITY",
            "statistics": "s3://b/statistics.json",
            "baseline_statistics": "s3://b/before.json",
        },
        (("s3://b/before.json",), ("s3://b/statistics.json",)),
    ),
    "a processing job that tells why it ended, with its program and its data": (
        "ProcessingJob",
        {
            "ProcessingJobName": "p",
            "ExitMessage": "No rows.",
            "ProcessingInputs": [
                {"InputName": name, "S3Input": {"S3Uri": f"s3://b/{name}"}}
                for name in ("data", "code", "entrypoint", "source", "sourcedir", "sm_code", "sm_drivers", "data-2")
            ],
        },
        {"job_name": "p", "exit_message": "No rows."},
        (("s3://b/data", "s3://b/data-2"), ()),
    ),
    "a tuning job of several algorithms": (
        "TuningJob",
        {
            "HyperParameterTuningJobName": "h",
            "TrainingJobDefinitions": [
                {"InputDataConfig": [CHANNEL], "OutputDataConfig": {"S3OutputPath": f"s3://b/{name}"}} for name in "ab"
            ],
            "TrainingJobStatusCounters": {"Completed": 2},
            "BestTrainingJob": {"TrainingJobName": "h-1", "FinalHyperParameterTuningJobObjectiveMetric": {"Value": 1}},
        },
        {"job_name": "h", "best_training_job": "h-1", "training_jobs": {"Completed": 2}},
        (("s3://b/train",), ("s3://b/a", "s3://b/b")),
    ),
    "auto_ml of the second version": (
        "AutoMLJob",
        {
            "AutoMLJobName": "a",
            "AutoMLJobInputDataConfig": [CHANNEL],
            "BestCandidate": {"InferenceContainers": [{"Image": "i"}, {"ModelDataUrl": "s3://b/m"}]},
        },
        {"job_name": "a", "models": ["s3://b/m"]},
        (("s3://b/train",), ()),
    ),
    "a model package of a source": (
        "RegisterModel",
        {
            "Arn": "arn:p",
            "InferenceSpecification": {
                "Containers": [{"Image": "i", "ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/model/"}}}]
            },
        },
        {"model_package_arn": "arn:p"},
        (("s3://b/model/",), ("arn:p",)),
    ),
    "model": ("Model", {"ModelName": "m", "ModelArn": "arn:m"}, {"model_name": "m", "model_arn": "arn:m"}, ((), ())),
    "endpoint": (
        "Endpoint",
        {"EndpointName": "e", "EndpointStatus": "InService"},
        {"endpoint_name": "e", "status": "InService"},
        ((), ()),
    ),
    "endpoint_config": ("EndpointConfig", {"EndpointConfigName": "c"}, {"endpoint_config_name": "c"}, ((), ())),
    "callback": (
        "Callback",
        {"OutputParameters": [{"Name": "n", "Value": "2"}, {"Name": "none"}, "odd"]},
        {"outputs": {"n": "2", "none": None}},
        ((), ()),
    ),
    "fail": ("Fail", {"ErrorMessage": "no"}, {"message": "no"}, ((), ())),
    "emr": (
        "EMR",
        {"ClusterId": "j-1", "StepId": "s-1", "LogFilePath": "s3://b/log"},
        {"cluster_id": "j-1", "step_id": "s-1", "log": "s3://b/log"},
        ((), ()),
    ),
    "emr_serverless": (
        "EMRServerless",
        {"ApplicationId": "a", "JobRunId": "r", "LogFilePath": "s3://b/log"},
        {"application_id": "a", "job_run_id": "r", "log": "s3://b/log"},
        ((), ()),
    ),
    "athena": (
        "Athena",
        {"S3OutputLocation": "s3://b/rows"},
        {"S3OutputLocation": "s3://b/rows"},
        ((), ("s3://b/rows",)),
    ),
    "for_each that was stopped": ("ForEach", {"StoppedStepCount": 2}, {"stopped": 2}, ((), ())),
    "condition": ("Condition", {"Outcome": "True"}, {"outcome": "True"}, ((), ())),
    "lambda": (
        "Lambda",
        {"Arn": "arn:f", "OutputParameters": [{"Name": "n", "Value": 2}]},
        {"outputs": {"n": 2}},
        ((), ()),
    ),
    "for_each": (
        "ForEach",
        {"InputItemCount": 3, "SucceededStepCount": 2, "FailedStepCount": 1},
        {"items": 3, "succeeded": 2, "failed": 1},
        ((), ()),
    ),
    "unknown": ("Bedrock", {"Arn": "arn:b"}, {"Arn": "arn:b"}, ((), ())),
}


@pytest.mark.parametrize(("kind", "details", "outputs", "data"), CASES.values(), ids=CASES)
def test_a_step_yields(kind: str, details: dict[str, Any], outputs: dict[str, Any], data: Any) -> None:
    assert default_outputs(kind, details) == outputs
    found = read_data(kind, details)
    assert (found.inputs, found.outputs) == data


def test_every_kind_of_step_that_the_api_knows_yields_something() -> None:
    """An answer with nothing in it is no fault: members that the service leaves out are left out here."""
    model = botocore.session.get_session().get_service_model("sagemaker")
    kinds = model.shape_for("PipelineExecutionStepMetadata").members
    assert len(kinds) > 20
    for kind in kinds:
        assert default_outputs(kind, {}) == {}
        assert read_data(kind, {}).outputs == ()
