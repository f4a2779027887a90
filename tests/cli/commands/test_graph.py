"""``graph``: pipelines offline, and executions on the real local endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from tests.cli.command_runs import DATA, SMALL, run

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer


DEMO = DATA / "diabetes_v2.json"


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


@pytest.mark.processes
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
