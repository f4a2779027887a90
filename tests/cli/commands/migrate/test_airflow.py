"""``sm-pipelines migrate airflow``: what it shows, writes and refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli import main

if TYPE_CHECKING:
    from pathlib import Path

DAG = """\
from airflow.providers.amazon.aws.operators.sagemaker import SageMakerModelOperator
from settings import CONFIG
model = SageMakerModelOperator(task_id="model", config=CONFIG)
"""
ROLE = "arn:aws:iam::111122223333:role/R"
CONFIG = {
    "ModelName": "m",
    "ExecutionRoleArn": ROLE,
    "PrimaryContainer": {"Image": "1.dkr.ecr.eu-west-1.amazonaws.com/i"},
}
NAMES = ["old.py", "old.definition.json", "old.report.md", "old.report.json"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A DAG file whose config stands in another folder."""
    path = tmp_path / "old.py"
    path.write_text(DAG, encoding="utf-8")
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "settings.py").write_text(f"CONFIG = {CONFIG}\n", encoding="utf-8")
    return path


def run(source: Path, *arguments: str | Path) -> int:
    """Run the command; it writes to the folder out."""
    return main(["migrate", "airflow", str(source), "-o", str(source.parent / "out"), *map(str, arguments)])


def test_the_diff_is_shown_and_the_files_are_written(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source, "--search-path", source.parent / "lib") == 0
    shown = capsys.readouterr().out
    out = source.parent / "out"
    assert f"--- {source}\n+++ {out / 'old.py'}" in shown
    assert '-model = SageMakerModelOperator(task_id="model", config=CONFIG)' in shown
    assert shown.splitlines()[-5:] == ["1 nodes: 1 translated.", *(f"Wrote {out / name}" for name in NAMES)]
    assert source.read_text(encoding="utf-8") == DAG
    assert "pipeline_name=deploy_model.output" in (out / "old.py").read_text(encoding="utf-8")
    assert run(source, "--search-path", source.parent / "lib") == 2
    assert "--force does so." in capsys.readouterr().err


def test_a_config_that_is_nowhere_needs_input(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source) == 1
    assert f"{source}:3:9: its config is CONFIG, which the file does not tell." in capsys.readouterr().out
    assert run(source, "--force", "--allow-partial") == 0


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"task_id": "model", "rendered_fields": {"config": CONFIG}}, id="a task instance"),
        pytest.param(
            {"task_instances": [{"task_id": "model", "rendered_fields": {"config": str(CONFIG)}}]}, id="a run"
        ),
        pytest.param({"model": CONFIG}, id="a config"),
        pytest.param({"model": {"config": json.dumps(CONFIG)}}, id="fields"),
    ],
)
def test_rendered_fields_give_the_config(source: Path, fields: dict[str, Any]) -> None:
    rendered = source.parent / "run.json"
    rendered.write_text(json.dumps(fields), encoding="utf-8")
    assert run(source, "--rendered", rendered) == 0
    definition = json.loads((source.parent / "out" / "old.definition.json").read_text(encoding="utf-8"))
    assert definition["Steps"][0]["Arguments"]["PrimaryContainer"] == CONFIG["PrimaryContainer"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param(
            {"model": "Truncated. You can change this behaviour in [core]"}, "max_templated_field_length", id="cut"
        ),
        pytest.param({"model": "<object>"}, "neither JSON nor a Python literal", id="an object"),
        pytest.param({}, "no rendered config is in it", id="nothing"),
    ],
)
def test_rendered_fields_that_say_nothing_are_refused(
    source: Path, fields: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rendered = source.parent / "run.json"
    rendered.write_text(json.dumps(fields), encoding="utf-8")
    assert run(source, "--rendered", rendered) == 2
    assert message in capsys.readouterr().err
    assert not (source.parent / "out").exists()


def test_a_folder_is_assessed_with_its_dag_files(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (source.parent / "pipelines.py").write_text(
        "from airflow.providers.amazon.aws.sensors.sagemaker import SageMakerPipelineSensor\n"
        "wait = SageMakerPipelineSensor(pipeline_exec_arn=1)\n",
        encoding="utf-8",
    )
    (source.parent / "own.py").write_text("class SageMakerModelOperator: pass\n", encoding="utf-8")
    (source.parent / "old2.py").write_text("print 'SageMakerModelOperator'\n", encoding="utf-8")
    assert main(["migrate", "assess", str(source.parent), "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [(row["file"], row["kind"], row["complete"]) for row in rows] == [
        ("old.py", "Airflow DAG", False),
        ("old2.py", "Airflow DAG", False),
        ("pipelines.py", "pipeline operators", True),
    ]
    assert rows[1]["problem"].startswith("old2.py:1:1: ")


def test_the_report_as_json(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(source, "--search-path", source.parent / "lib", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["pipelines"], report["complete"]) == (["old"], True)
