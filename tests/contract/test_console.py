"""The endpoint's pages as a browser asks for them."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer

Client = Callable[[str], Any]
Wait = Callable[[str], dict[str, Any]]


def read(server: RunningServer, path: str, method: str = "GET") -> str:
    request = urllib.request.Request(f"{server.console_url}{path}", method=method)  # noqa: S310 - loopback
    with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
        return str(response.read().decode())


def test_an_execution_is_shown_with_its_steps_reasons_and_parameters(
    server: RunningServer, client: Client, pipeline: str, wait: Wait
) -> None:
    arn = client("sagemaker").start_pipeline_execution(
        PipelineName=pipeline,
        PipelineParameters=[{"Name": "Limit", "Value": "11"}],
        PipelineExecutionDescription="<script>alert(1)</script>",
    )["PipelineExecutionArn"]
    wait(arn)
    execution_id = arn.rpartition("/")[2]
    assert pipeline in read(server, "")
    assert f"/_console/pipelines/{pipeline}/executions/{execution_id}" in read(server, f"/pipelines/{pipeline}")
    page = read(server, f"/pipelines/{pipeline}/executions/{execution_id}")
    assert "over the limit" in page
    assert "outcome: True" in page
    assert "<td>Limit</td><td>11</td>" in page
    assert "<script>" not in page
    assert 'http-equiv="refresh"' not in page


def test_a_jobs_log_is_shown(server: RunningServer, client: Client) -> None:
    logs = client("logs")
    logs.create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    logs.create_log_stream(logGroupName="/aws/sagemaker/TrainingJobs", logStreamName="my-job/algo-1-1")
    logs.put_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs",
        logStreamName="my-job/algo-1-1",
        logEvents=[{"timestamp": round(time.time() * 1000), "message": "rmse < 60 & falling"}],
    )
    assert "rmse &lt; 60 &amp; falling" in read(server, "/logs/training-job/my-job")
    assert "written nothing yet" in read(server, "/logs/training-job/another-job")


@pytest.mark.parametrize("path", ["/pipelines/none", "/pipelines/none/executions/x", "/elsewhere", "/logs/other/x"])
def test_what_is_not_there_is_said_so(server: RunningServer, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        read(server, path)
    assert caught.value.code == 404
    assert "Not found" in caught.value.read().decode()


def test_pages_are_only_read(server: RunningServer) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        read(server, "", method="POST")
    assert caught.value.code == 405
