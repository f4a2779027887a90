"""From ``deploy`` to ``retry``: the commands about pipelines and executions, beside the real local endpoint."""

from __future__ import annotations

import copy
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.server import serve
from tests.airflow_runs import write_image_table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/tests-python:1"
WORK: dict[str, Any] = {
    "Name": "Work",
    "Type": "Processing",
    "Arguments": {
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
        },
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "-c", "print('first line'); print('second line')"],
        },
        "RoleArn": ROLE,
    },
}
TOO_HIGH = {"Name": "TooHigh", "Type": "Fail", "Arguments": {"ErrorMessage": "too high"}}


SLEEPING = copy.deepcopy(WORK)
SLEEPING["Arguments"]["AppSpecification"]["ContainerEntrypoint"][-1] = "import time; time.sleep(600)"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """An endpoint where `IMAGE` is the tests' own interpreter."""
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SM_PIPELINES_IMAGES", str(write_image_table(folder, "tests-python")))
        with serve(folder / "state") as running:
            yield running


@pytest.fixture
def folder(endpoint: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory from which AWS is the endpoint."""
    for name, value in endpoint.environment().items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def deploy(folder: Path, name: str, *steps: dict[str, Any]) -> str:
    (folder / f"{name}.json").write_text(json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": list(steps)}))
    assert main(["deploy", f"{name}.json", "--role-arn", ROLE]) == 0
    return name


def until(execution: str, *statuses: str) -> None:
    client = boto3.client("sagemaker")
    deadline = time.monotonic() + 60
    while client.describe_pipeline_execution(PipelineExecutionArn=execution)["PipelineExecutionStatus"] not in statuses:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)


def test_a_pipeline_is_deployed_listed_run_and_looked_at(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = deploy(folder, "work", WORK)
    assert "Pipeline 'work' created: version 1" in capsys.readouterr().err
    assert main(["deploy", "work.json", "--role-arn", ROLE, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["action"] == "unchanged"

    assert main(["list", name]) == 0
    assert capsys.readouterr().err == "Pipeline 'work' has no executions.\n"
    assert main(["show", name]) == 2
    assert "Pipeline 'work' has no executions yet." in capsys.readouterr().err

    assert main(["run", name]) == 0
    arn = capsys.readouterr().out.splitlines()[0]
    assert main(["list"]) == 0
    assert "work  last run 20" in capsys.readouterr().out
    assert main(["list", name]) == 0
    assert capsys.readouterr().out == f"Succeeded               {arn}\n"
    assert main(["list", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"execution_arn": arn, "status": "Succeeded"}]
    assert main(["list", "--prefix", "other"]) == 0
    assert capsys.readouterr().err == "No pipeline's name begins with 'other'.\n"

    for command in ("show", "watch"):
        assert main([command, name]) == 0
        shown = capsys.readouterr()
        assert f"The newest execution: {arn}\n" in shown.err
        assert "Work  Succeeded in" in shown.out
    assert main(["show", arn, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["name"] == "Work"


def test_a_run_beside_an_endpoint_of_others_ends_with_what_may_differ_on_aws(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    conditions = [{"Type": "LessThan", "LeftValue": "10", "RightValue": "9"}]
    check = {"Name": "Check", "Type": "Condition", "Arguments": {"Conditions": conditions, "IfSteps": []}}
    name = deploy(folder, "check", check)
    for command in ("run", "watch"):
        assert main([command, name]) == 0
        said = capsys.readouterr().err
        assert said.endswith(
            "May differ on AWS:\n  chosen: Check: texts are ordered by code point, so '10' is less than '9'\n"
        )
    # The command around it says so itself.
    monkeypatch.setenv("SM_PIPELINES_JUDGED", "1")
    assert main(["watch", name]) == 0
    assert "May differ" not in capsys.readouterr().err
    monkeypatch.delenv("SM_PIPELINES_JUDGED")
    assert main(["run", deploy(folder, "plain", WORK)]) == 0
    assert "May differ" not in capsys.readouterr().err


def test_logs_and_outputs_of_a_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = deploy(folder, "talks", WORK)
    assert main(["run", name]) == 0
    capsys.readouterr()
    assert main(["logs", name]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition("] ")[2] for line in lines][-2:] == ["first line", "second line"]
    assert lines[-1].startswith("[Work algo-1")
    assert main(["logs", name, "Work", "--follow"]) == 0
    assert capsys.readouterr().out.splitlines() == lines
    assert main(["logs", name, "Wrok"]) == 1
    assert "step 'Wrok' did not run. Did you mean 'Work'?" in capsys.readouterr().err

    assert main(["outputs", name]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["Work"]
    place = "Steps.Work.AppSpecification.ImageUri"
    assert main(["outputs", name, place]) == 0
    assert json.loads(capsys.readouterr().out) == {place: IMAGE}
    assert main(["outputs", name, "Steps.Wrok.ProcessingJobName"]) == 2
    assert "Did you mean 'Work'?" in capsys.readouterr().err


def test_an_execution_is_stopped_once_and_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = deploy(folder, "sleeps", SLEEPING)
    assert main(["run", name, "--no-follow"]) == 0
    arn = capsys.readouterr().out.strip()
    assert main(["retry", name]) == 1
    assert f"Nothing to resume: {arn} is Executing." in capsys.readouterr().err
    assert main(["stop", name]) == 0
    assert f"{arn} is told to stop." in capsys.readouterr().out
    until(arn, "Stopped")
    assert main(["stop", arn]) == 1
    assert f"Nothing to stop: {arn} is Stopped." in capsys.readouterr().err
    assert main(["retry", arn, "--no-follow"]) == 0
    assert capsys.readouterr().out.strip() == arn
    until(arn, "Executing")
    assert main(["stop", arn]) == 0
    until(arn, "Stopped")


def test_what_a_fail_step_has_ended_is_not_resumed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = deploy(folder, "fails", TOO_HIGH)
    assert main(["run", name]) == 1
    capsys.readouterr()
    assert main(["retry", name]) == 1
    assert "A Fail step ended" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "watch", "logs", "outputs", "stop", "retry", "cost"])
def test_what_is_neither_an_execution_nor_a_pipeline_is_refused(
    command: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("my_pipeline", "arn:aws:sagemaker:us-east-1:123456789012:training-job/x"):
        assert main([command, text]) == 2
        assert "names neither an execution nor a pipeline" in capsys.readouterr().err
