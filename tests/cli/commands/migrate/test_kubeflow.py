"""``sm-pipelines migrate kubeflow`` and ``assess``: what they write, say and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_sm_pipelines.cli import main

PIPELINE = Path(__file__).parents[3] / "data" / "migrate" / "kubeflow" / "price.yaml"


def run(folder: Path, *arguments: str | Path) -> int:
    """Run the command."""
    return main(["migrate", "kubeflow", *map(str, arguments), "-o", str(folder)])


def test_a_pipeline_becomes_files_called_after_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, PIPELINE) == 0
    assert "11 nodes:" in capsys.readouterr().out
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"price.py", "price.components.json", "price.report.md", "price.report.json"} <= first.keys()
    assert run(tmp_path, PIPELINE) == 2
    assert run(tmp_path, PIPELINE, "--force", "--json") == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_what_is_left_ends_with_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, PIPELINE, "--image", "python:3.11=alpine") == 1
    assert "has no Python 3" in capsys.readouterr().out
    assert run(tmp_path, PIPELINE, "--image", "python:3.11=alpine", "--force", "--allow-partial") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image", "x"), "is not OLD=NEW"),
        (("--select", "other"), "there is no such pipeline; those are price"),
    ],
    ids=["image", "select"],
)
def test_wrong_options_write_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert run(tmp_path / "out", PIPELINE, *arguments) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_broken_file_is_one_line_with_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "bad.yaml"
    source.write_text(PIPELINE.read_text(encoding="utf-8").replace("comp-prepare\n", "comp-gone\n"), encoding="utf-8")
    assert run(tmp_path / "out", source) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "bad.yaml:" in line
    assert not (tmp_path / "out").exists()


def test_assess_tells_of_pipelines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "price.yaml").write_bytes(PIPELINE.read_bytes())
    (tmp_path / "values.yaml").write_text("a: 1\n", encoding="utf-8")
    assert main(["migrate", "assess", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["file"], row["kind"], row["complete"]) == ("price.yaml", "Kubeflow pipeline", True)
