"""``plan`` and ``graph`` as a user and as CI runs them: offline, and beside the real local endpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import boto3
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server import RunningServer

DEMO = Path(__file__).parents[2] / "data" / "definitions" / "diabetes_v2.json"
SMALL = {
    "Parameters": [{"Name": "Limit", "Type": "Integer", "DefaultValue": 5}],
    "Steps": [
        {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.Limit"}, "RightValue": 10}],
                "IfSteps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "over the limit"}}],
                "ElseSteps": [],
            },
        }
    ],
}


def run(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**os.environ, **(env or {})}, **options
    )


def changed(tmp_path: Path) -> Path:
    document = json.loads(DEMO.read_text())
    document["Parameters"][1]["DefaultValue"] = 3
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


# Offline


def test_a_plan_needs_nothing_but_two_files(tmp_path: Path) -> None:
    new = changed(tmp_path)
    result = run("plan", str(new), "--deployed", str(DEMO))
    assert (result.returncode, result.stderr) == (0, "")
    assert "  ~ Parameters.MaxDepth.DefaultValue: 2 → 3" in result.stdout.splitlines()
    assert run("plan", str(new), "--deployed", str(DEMO), "--exit-code").returncode == 3
    assert run("plan", str(DEMO), "--deployed", str(DEMO), "--exit-code").returncode == 0


def test_a_plan_that_would_be_refused_says_so_by_its_exit_code(repository: Path) -> None:
    policy = str(repository / "dags" / "policies" / "team.toml")
    refused = run("plan", str(DEMO), "--new", "--policy-file", policy, "--json")
    assert refused.returncode == 1
    assert json.loads(refused.stdout)["is_refused"]
    filled = run("plan", str(DEMO), "--new", "--policy-file", policy, "--policy", "apply", "--markdown")
    assert filled.returncode == 0
    assert filled.stdout.startswith("<!-- sm-pipelines plan -->")


def test_a_plan_asks_what_is_deployed() -> None:
    result = run("plan", str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert "--pipeline-name" in result.stderr


def test_a_graph_is_text_on_a_terminal_and_a_picture_in_a_file(tmp_path: Path) -> None:
    assert run("graph", str(DEMO)).stdout.splitlines()[0].split() == ["Preprocess", "Processing"]
    assert run("graph", "-", input=json.dumps(SMALL)).stdout.splitlines()[0].startswith("Check")
    picture = tmp_path / "pipeline.svg"
    assert run("graph", str(DEMO), "-o", str(picture)).returncode == 0
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")  # noqa: S314
    assert run("graph", str(DEMO), "--format", "mermaid").stdout.startswith("flowchart TD\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name a definition to draw"),
        ([str(DEMO), "--format", "gantt"], "name one with --execution"),
        ([str(DEMO), "-o", "no/such/folder.svg"], "Cannot write no/such/folder.svg"),
    ],
)
def test_what_cannot_be_drawn_is_explained(arguments: list[str], message: str) -> None:
    result = run("graph", *arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


# Beside an endpoint


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


def test_a_plan_compares_with_what_is_deployed(server: RunningServer, execution: str) -> None:
    new = json.loads(json.dumps(SMALL))
    new["Parameters"][0]["DefaultValue"] = 6
    env = dict(server.environment())
    result = run("plan", "-", "--pipeline-name", "small", "--exit-code", input=json.dumps(new), env=env)
    assert (result.returncode, result.stderr) == (3, "")
    assert result.stdout.splitlines()[:4] == [
        "Pipeline 'small' would get a new version.",
        "",
        "Changes (1):",
        "  ~ Parameters.Limit.DefaultValue: 5 → 6",
    ]
    absent = run("plan", "-", "--pipeline-name", "other", input=json.dumps(new), env=env)
    assert absent.stdout.splitlines()[0] == "Pipeline 'other' would be created."


def test_an_execution_is_drawn_with_its_statuses(server: RunningServer, execution: str, tmp_path: Path) -> None:
    env = dict(server.environment())
    lines = run("graph", "--execution", execution, env=env).stdout.splitlines()
    assert lines[0].split("  ")[0] == "Check"
    assert "Succeeded" in lines[0]
    assert "Failed" in lines[1]
    assert "over the limit" in lines[1]
    chart = run("graph", "--execution", execution, "--format", "gantt", env=env)
    shown = [element.text for element in ElementTree.fromstring(chart.stdout).iter() if element.text]  # noqa: S314
    assert "Stop" in shown
    assert any(str(text).startswith("small · ") for text in shown)


def test_an_execution_that_is_not_there_is_told(server: RunningServer) -> None:
    arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/small/execution/abcdefghijkl"
    result = run("graph", "--execution", arn, env=dict(server.environment()))
    assert (result.returncode, result.stdout) == (2, "")
    assert "ListPipelineExecutionSteps on" in result.stderr
    assert "was refused: ResourceNotFound" in result.stderr
    assert "Traceback" not in result.stderr
