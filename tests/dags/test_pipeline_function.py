"""The function that is a pipeline, unchanged, beside the real local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from airflow_sm_pipelines.server import RunningServer
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


def test_a_functions_body_is_compiled_deployed_and_run(local: DagRunner, server: RunningServer) -> None:
    result = local.test("pipeline_function")
    assert result.exit_code == 0, result.output[-8000:]
    assert result.xcom("score", "action") == "created"
    assert result.xcom("score", "status") == "Succeeded"
    assert result.xcom("score", "pipeline_name") == "pipeline-function-score"
    scores = {row["name"]: row["score"] for row in result.xcom("gather")}
    assert scores == {"south": 1.316, "west": 4.304}

    client = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region).client(
        "sagemaker", endpoint_url=server.endpoint_url
    )
    names = [item["PipelineName"] for item in client.list_pipelines()["PipelineSummaries"]]
    assert sorted(names) == [
        "pipeline-function-score",
        "pipeline-function-score-each-0",
        "pipeline-function-score-each-1",
    ]
    for name in names:
        assert len(client.list_pipeline_executions(PipelineName=name)["PipelineExecutionSummaries"]) == 1
