"""A local endpoint with one execution that has ended."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

import boto3
import pytest

from tests.cli.command_runs import SMALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server import RunningServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running endpoint."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def execution(server: RunningServer) -> str:
    """An execution of ``SMALL`` that has ended; the pipeline is called ``small``."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
    client = session.client("sagemaker", endpoint_url=server.endpoint_url)
    role = "arn:aws:iam::123456789012:role/SageMakerExecution"
    client.create_pipeline(PipelineName="small", RoleArn=role, PipelineDefinition=json.dumps(SMALL))
    arn: str = client.start_pipeline_execution(
        PipelineName="small", PipelineParameters=[{"Name": "Limit", "Value": "20"}]
    )["PipelineExecutionArn"]
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"]
        if status not in ("Executing", "Stopping"):
            return arn
        threading.Event().wait(0.05)
    raise AssertionError(f"{arn} did not end")
