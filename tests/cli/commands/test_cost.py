"""``cost`` beside the real local endpoint: a real job's time at a price, its tags, and Cost Explorer's silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.cost import with_cost_tags
from airflow_sm_pipelines.definition import parse_definition

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
DEFINITION = {
    "Steps": [
        {
            "Name": "Work",
            "Type": "Processing",
            "Arguments": {
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
                },
                "AppSpecification": {
                    "ImageUri": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
                    "ContainerEntrypoint": ["python3", "-c", "print('done')"],
                },
                "RoleArn": ROLE,
            },
        },
        {
            "Name": "Check",
            "Type": "Condition",
            "DependsOn": ["Work"],
            "Arguments": {
                "Conditions": [{"Type": "Equals", "LeftValue": 1, "RightValue": 1}],
                "IfSteps": [],
                "ElseSteps": [],
            },
        },
    ]
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running endpoint."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("state")) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: RunningServer) -> Any:
    """A SageMaker client of the endpoint."""
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
    return session.client("sagemaker", endpoint_url=server.endpoint_url)


@pytest.fixture(scope="module")
def execution(client: Any) -> str:
    """An execution of the tagged pipeline that has succeeded, started as a DAG would."""
    definition = with_cost_tags(parse_definition(DEFINITION), {"team": "forecasting"})
    client.create_pipeline(PipelineName="costly", RoleArn=ROLE, PipelineDefinition=json.dumps(definition.to_json()))
    arn: str = client.start_pipeline_execution(
        PipelineName="costly",
        PipelineParameters=[
            {"Name": "AirflowDagId", "Value": "train"},
            {"Name": "AirflowRunId", "Value": "manual__2026-11-23T03:00:00+00:00"},
        ],
    )["PipelineExecutionArn"]
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        found = client.describe_pipeline_execution(PipelineExecutionArn=arn)
        if found["PipelineExecutionStatus"] not in ("Executing", "Stopping"):
            assert found["PipelineExecutionStatus"] == "Succeeded", found.get("FailureReason")
            return arn
        threading.Event().wait(0.1)
    raise AssertionError(f"{arn} did not end")


def run(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", "cost", *arguments]
    env = {**os.environ, **server.environment()}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env)


def test_the_jobs_of_a_run_carry_its_tags(client: Any, execution: str) -> None:
    steps = client.list_pipeline_execution_steps(PipelineExecutionArn=execution)["PipelineExecutionSteps"]
    arn = next(step["Metadata"]["ProcessingJob"]["Arn"] for step in steps if step["StepName"] == "Work")
    assert {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]} == {
        "sagemaker:pipeline-execution-arn": execution,
        "sm-pipelines:pipeline": "costly",
        "sm-pipelines:execution": execution.rpartition("/")[2],
        "sm-pipelines:step": "Work",
        "sm-pipelines:dag": "train",
        "sm-pipelines:run": "manual__2026-11-23T03:00:00+00:00",
        "team": "forecasting",
    }


def test_an_estimate_prices_each_steps_time(
    server: RunningServer, execution: str, repository: Path, tmp_path: Path
) -> None:
    prices = str(repository / "dags" / "policies" / "prices.toml")
    report = json.loads(run(server, execution, "--prices", prices, "--json").stdout)
    (work,) = report["steps"]
    assert (work["step"], work["instance_type"], work["hourly"]) == ("Work", "ml.m5.large", 0.115)
    assert 0 < work["seconds"] < 300
    assert report["total"] == pytest.approx(0.115 * work["seconds"] / 3600)
    assert report["free"] == ["Check"]
    chart = tmp_path / "cost.svg"
    table = run(server, execution, "--prices", prices, "--chart", str(chart)).stdout
    assert "Work: " in chart.read_text(encoding="utf-8")
    assert [line.split()[0] for line in table.splitlines()[:4]] == ["Step", "Work", "Check", "Total"]


@pytest.mark.parametrize("options", [[], ["--list-prices"], ["--billed"]], ids=["no option", "list", "bill"])
def test_the_local_endpoint_has_no_prices_and_no_bill_and_says_what_to_do(
    options: list[str], server: RunningServer, execution: str
) -> None:
    result = run(server, execution, *options)
    assert (result.returncode, result.stdout) == (2, "")
    assert "has no price list and no bill" in result.stderr
    assert "--prices prices.toml" in result.stderr
    assert "Traceback" not in result.stderr


def test_only_one_source_of_costs_is_taken(server: RunningServer, execution: str) -> None:
    result = run(server, execution, "--billed", "--list-prices")
    assert result.returncode == 2
    assert "not allowed with argument" in result.stderr
