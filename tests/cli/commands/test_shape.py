"""``shape``: written, and held against a file in CI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.command_runs import DATA, SMALL, refused, run

if TYPE_CHECKING:
    from pathlib import Path

DEMO = DATA / "diabetes_v2.json"


def test_a_shape_is_written_and_a_pipeline_of_another_shape_ends_with_1(tmp_path: Path) -> None:
    path = tmp_path / "train.shape.json"
    assert run("shape", str(DEMO), "-o", str(path)).returncode == 0
    shape = json.loads(path.read_text())
    assert [step["name"] for step in shape["steps"]][:3] == ["Preprocess", "Train", "Evaluate"]
    assert set(shape["steps"][0]) == {"name", "type", "waits_for"}
    assert "arn:" not in path.read_text()
    assert run("shape", str(DEMO), "--check", str(path)).returncode == 0

    other = run("shape", "-", "--check", str(path), input=json.dumps(SMALL))
    assert other.returncode == 1
    assert "step 'Check' is new" in other.stderr
    assert "cannot read" in refused(run("shape", str(DEMO), "--check", str(tmp_path / "none"))).lower()
