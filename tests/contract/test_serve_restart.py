"""`serve` as a whole: what it refuses, and pipelines and executions across its end."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import RunningServer, read_announcement, serve

if TYPE_CHECKING:
    from pathlib import Path

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
DEFINITION = json.dumps(
    {"Version": "2020-12-01", "Steps": [{"Name": "No", "Type": "Fail", "Arguments": {"ErrorMessage": "no"}}]}
)


def sagemaker(server: RunningServer) -> Any:
    return boto3.client(
        "sagemaker",
        endpoint_url=server.endpoint_url,
        region_name=server.region,
        aws_access_key_id="a",
        aws_secret_access_key="b",
    )


def test_pipelines_and_executions_are_there_after_a_restart(tmp_path: Path) -> None:
    with serve(tmp_path, region="eu-central-1") as server:
        assert read_announcement(tmp_path)["url"] == server.endpoint_url  # type: ignore[index]
        client = sagemaker(server)
        arn = client.create_pipeline(PipelineName="p", RoleArn=ROLE, PipelineDefinition=DEFINITION)["PipelineArn"]
        assert arn == "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/p"
        execution = client.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"]
    assert read_announcement(tmp_path) is None
    with serve(tmp_path, region="eu-central-1") as server:
        client = sagemaker(server)
        assert client.describe_pipeline(PipelineName="p")["PipelineArn"] == arn
        assert client.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineArn"] == arn


def test_a_server_may_be_closed_twice(tmp_path: Path) -> None:
    server = serve(tmp_path)
    server.close()
    server.close()


def test_a_profile_that_does_not_exist_is_no_hindrance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "no-such-profile")
    with serve(tmp_path) as server:
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        assert sagemaker(server).list_pipelines()["PipelineSummaries"] == []


def test_a_taken_port_is_refused_in_words_and_holds_nothing_back(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LocalEndpointError, match=f"Port {port} of 127.0.0.1 cannot be used"):
            serve(tmp_path, port=port)
    serve(tmp_path).close()


def test_only_loopback_is_bound_unless_names_are_given(tmp_path: Path) -> None:
    with pytest.raises(LocalEndpointError, match="host names"):
        serve(tmp_path, host="0.0.0.0")  # noqa: S104 - what is to be refused
