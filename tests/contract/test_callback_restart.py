"""A Callback step that waits while the endpoint is stopped and started again on another port."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import boto3

from airflow_sm_pipelines.server import serve
from tests.contract.test_messages import Client, create, receive

if TYPE_CHECKING:
    from pathlib import Path


def test_a_pending_callback_and_its_queue_survive_a_restart_on_another_port(tmp_path: Path) -> None:
    def clients(url: str) -> Client:
        session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")
        return lambda service: session.client(service, endpoint_url=url)

    with serve(tmp_path / "state") as server:
        first = clients(server.endpoint_url)
        url = first("sqs").create_queue(QueueName="pending")["QueueUrl"]
        arn = create(first("sagemaker"), "pending", url)
        (message,) = receive(first("sqs"), url, 1)
    with serve(tmp_path / "state") as server:
        second = clients(server.endpoint_url)
        second("sagemaker").stop_pipeline_execution(PipelineExecutionArn=arn)
        new_url = second("sqs").get_queue_url(QueueName="pending")["QueueUrl"]
        (again,) = receive(second("sqs"), new_url, 1)
        assert again == {**message, "status": "Stopping"}
        second("sagemaker").send_pipeline_execution_step_failure(CallbackToken=message["token"])
        deadline = time.monotonic() + 20
        while second("sagemaker").describe_pipeline_execution(PipelineExecutionArn=arn)[
            "PipelineExecutionStatus"
        ] not in ("Stopped", "Failed"):
            assert time.monotonic() < deadline
