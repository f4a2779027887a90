"""A job that ran elsewhere: its request, what it reads, and calls that only read."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.client.recorded_jobs import (
    RecordedInput,
    WriteRefusedError,
    forbid_writes,
    read_recorded_job,
)
from airflow_sm_pipelines.client.reports import StepReport
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.exceptions import ArgumentError

ACCOUNT = "arn:aws:sagemaker:us-east-1:123456789012:"
NOWHERE = {
    "AWS_ACCESS_KEY_ID": "a",
    "AWS_SECRET_ACCESS_KEY": "b",
    "AWS_REGION": "us-east-1",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}
ANSWERS: dict[str, dict[str, Any]] = {
    "describe_training_job": {
        "TrainingJobName": "t",
        "TrainingJobStatus": "Failed",
        "HyperParameters": {"sagemaker_submit_directory": '"s3://code/source.tar.gz"'},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "ManifestFile", "S3Uri": "s3://data/list"}},
            }
        ],
        "CheckpointConfig": {"S3Uri": "s3://checkpoints/a"},
        "VpcConfig": {"Subnets": ["s"], "SecurityGroupIds": ["g"]},
    },
    "describe_transform_job": {
        "TransformJobName": "b",
        "ModelName": "price",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://data/in"}}},
    },
    "describe_model": {
        "ModelName": "price",
        "PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://models/model.tar.gz"},
    },
}


class Answers(SessionCalls):
    """An account with one job of each kind."""

    def describe_resource(self, operation: str, argument: str, value: str) -> dict[str, Any]:
        return ANSWERS[operation]


def made(kind: str, name: str) -> StepReport:
    return StepReport("Step", kind, "Failed", job_arn=f"{ACCOUNT}{kind}/{name}")


def test_a_training_job_is_read_with_all_that_it_reads() -> None:
    job = read_recorded_job(Answers(), made("training-job", "t"))
    assert (job.step_type, "VpcConfig" in job.arguments, "TrainingJobName" in job.arguments) == (
        "Training",
        False,
        False,
    )
    assert job.inputs == (
        RecordedInput("s3://data/list", "ManifestFile"),
        RecordedInput("s3://code/source.tar.gz"),
        RecordedInput("s3://checkpoints/a", is_optional=True),
    )


def test_a_transform_job_brings_its_model() -> None:
    job = read_recorded_job(Answers(), made("transform-job", "b"))
    assert (job.arguments["ModelName"], job.model["ModelName"]) == ("b", "b")
    assert job.inputs == (RecordedInput("s3://data/in"), RecordedInput("s3://models/model.tar.gz"))


def test_a_step_without_such_a_job_is_refused() -> None:
    with pytest.raises(ArgumentError, match="Only processing, training, transform and tuning jobs"):
        read_recorded_job(Answers(), made("hyper-parameter-tuning-job", "h"))


def test_nothing_that_might_write_is_sent() -> None:
    calls = SessionCalls.at_endpoint(NOWHERE)
    assert calls.conn is not None
    forbid_writes(calls)
    with pytest.raises(WriteRefusedError, match="StopPipelineExecution might change something on AWS"):
        calls.conn.stop_pipeline_execution(PipelineExecutionArn=f"{ACCOUNT}pipeline/a/execution/b")
    with pytest.raises(WriteRefusedError, match="PutObject"):
        calls.client_of("s3").put_object(Bucket="bucket", Key="key")
