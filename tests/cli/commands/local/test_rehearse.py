"""The command ``local rehearse``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli import main
from tests.rehearsal.steps import processing

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_command_says_how_it_went_and_what_was_made_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    steps = [processing("Prepare", inputs={"raw": "s3://nowhere/raw"})]
    steps += [{"Name": "Bad", "Type": "Fail", "DependsOn": ["Prepare"], "Arguments": {"ErrorMessage": "enough"}}]
    file = tmp_path / "pipeline.json"
    file.write_text(json.dumps({"Version": "2020-12-01", "Steps": steps}))
    data = tmp_path / "data.csv"
    data.write_text("1,2\n")
    assert main(["local", "rehearse", str(file), "--upload", f"s3://nowhere/raw/data.csv={data}"]) == 1
    said = capsys.readouterr().out
    assert "rehearsal: Failed after" in said
    assert "stood in: script prepare.py" in said
    assert "data s3://nowhere/raw" not in said
    assert "      enough\n" in said
    assert main(["local", "rehearse", str(file), "-p", "x"]) == 2
    assert "--parameter 'x' is not NAME=VALUE" in capsys.readouterr().err
