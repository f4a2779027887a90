"""``sm-pipelines migrate provider``: the diff, what is written, and the exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

DAG = """\
from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor
wait = SageMakerPipelineSensor(task_id="wait", pipeline_exec_arn="a")
"""
OURS = """\
from airflow_sm_pipelines import SageMakerPipelineExecutionSensor
wait = SageMakerPipelineExecutionSensor(task_id="wait", execution_arn="a")
"""


def run(*arguments: str | Path) -> int:
    """Run the command."""
    return main(["migrate", "provider", *map(str, arguments)])


def test_the_diff_comes_first_and_the_change_when_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "dags" / "one.py"
    path.parent.mkdir()
    path.write_text(DAG, encoding="utf-8")
    (path.parent / "other.py").write_text("print 'Python 2, which uses none of it'", encoding="utf-8")
    assert run(tmp_path) == 0
    shown = capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == DAG
    assert f"--- {path}" in shown
    assert '+wait = SageMakerPipelineExecutionSensor(task_id="wait", execution_arn="a")' in shown
    assert (
        f"{path}:2:8 task 'wait': SageMakerPipelineSensor is now SageMakerPipelineExecutionSensor (translated)" in shown
    )
    assert f"Nothing is written to {path} yet: --write does so." in shown
    assert run(tmp_path, "--write") == 0
    assert f"Wrote {path}" in capsys.readouterr().out
    assert path.read_text(encoding="utf-8") == OURS


def test_the_report_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.py"
    path.write_text(DAG, encoding="utf-8")
    assert run(path, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [(one["file"], one["complete"], one["written"], len(one["records"])) for one in report] == [
        (str(path), True, False, 1)
    ]
    assert "+from airflow_sm_pipelines import" in report[0]["diff"]


def test_a_task_that_cannot_be_changed_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "one.py"
    path.write_text(DAG.replace('"a"', '"a", **load()'), encoding="utf-8")
    assert run(path) == 1
    assert f"{path}:2:71: what **load() holds cannot be read." in capsys.readouterr().out
    assert run(path, "--allow-partial") == 0


def test_nothing_is_written_where_a_file_is_no_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "a.py", tmp_path / "b.py"
    good.write_text(DAG, encoding="utf-8")
    bad.write_text(DAG + "print 'x'\n", encoding="utf-8")
    assert run(tmp_path, "--write") == 2
    assert good.read_text(encoding="utf-8") == DAG
    assert f"{bad}:3:1: " in capsys.readouterr().err


def test_a_folder_without_the_operators_ends_with_two(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 2
    assert "uses the amazon provider's operators" in capsys.readouterr().err
    assert run(tmp_path / "missing.py") == 2
    assert "Cannot read" in capsys.readouterr().err
