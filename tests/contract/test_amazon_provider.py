"""The amazon provider's own operator and sensor, unmodified, start and watch a pipeline on the endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]


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
