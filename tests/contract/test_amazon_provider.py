"""The amazon provider's own operator and sensor, unmodified, start and watch a pipeline on the endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.contract.conftest import ROLE

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


@pytest.fixture
def connection(server: RunningServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `local exec` gives its child."""
    for name, value in server.environment().items():
        if name.startswith(("AWS_", "AIRFLOW_CONN_AWS")):
            monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("connection")
def test_the_start_operator_starts_and_waits(client: Client, pipeline: str) -> None:
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerStartPipelineOperator

    operator = SageMakerStartPipelineOperator(
        task_id="start",
        pipeline_name=pipeline,
        pipeline_params={"Limit": "3"},
        wait_for_completion=True,
        check_interval=1,
        verbose=True,
    )
    arn = operator.execute({})
    found = client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=arn)
    assert found["PipelineExecutionStatus"] == "Succeeded"
    assert found["PipelineExecutionDisplayName"] == "airflow-triggered-execution"


@pytest.mark.usefixtures("connection")
def test_the_sensor_sees_an_execution_through(pipeline: str, client: Client, wait: Callable[[str], Any]) -> None:
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor

    arn = client("sagemaker").start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]
    wait(arn)
    assert SageMakerPipelineSensor(task_id="watch", pipeline_exec_arn=arn).poke({}) is True


@pytest.mark.usefixtures("connection")
def test_the_sensor_fails_with_a_failed_execution(pipeline: str, client: Client, wait: Callable[[str], Any]) -> None:
    from airflow.exceptions import AirflowException
    from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor

    arn = client("sagemaker").start_pipeline_execution(
        PipelineName=pipeline, PipelineParameters=[{"Name": "Limit", "Value": "20"}]
    )["PipelineExecutionArn"]
    wait(arn)
    with pytest.raises(AirflowException):
        SageMakerPipelineSensor(task_id="watch", pipeline_exec_arn=arn).poke({})


@pytest.mark.usefixtures("connection")
def test_the_stop_operator_accepts_that_an_execution_is_over(
    pipeline: str, client: Client, wait: Callable[[str], Any]
) -> None:
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerStopPipelineOperator

    arn = client("sagemaker").start_pipeline_execution(PipelineName=pipeline)["PipelineExecutionArn"]
    wait(arn)
    assert SageMakerStopPipelineOperator(task_id="stop", pipeline_exec_arn=arn).execute({}) == "Succeeded"


@pytest.mark.usefixtures("connection")
def test_the_processing_operator_finds_that_its_jobs_name_is_free(client: Client) -> None:
    from airflow.providers.amazon.aws.operators.sagemaker import SageMakerProcessingOperator

    job = {
        "ProcessingJobName": "from-an-operator",
        "RoleArn": ROLE,
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1}
        },
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "-c", "print(1)"]},
    }
    operator = SageMakerProcessingOperator(task_id="process", config=job, wait_for_completion=True, check_interval=1)
    assert operator.execute({})["Processing"]["ProcessingJobStatus"] == "Completed"
    sagemaker = client("sagemaker")
    for operation, member in (
        ("describe_processing_job", "ProcessingJobName"),
        ("describe_training_job", "TrainingJobName"),
        ("describe_transform_job", "TransformJobName"),
        ("describe_hyper_parameter_tuning_job", "HyperParameterTuningJobName"),
    ):
        with pytest.raises(ClientError, match="Requested resource not found") as refused:
            getattr(sagemaker, operation)(**{member: "never-made"})
        assert refused.value.response["Error"]["Code"] == "ValidationException"
