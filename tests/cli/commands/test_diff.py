"""``diff``: what changed between two definitions."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.cli.command_runs import DATA, TRAIN, changed, refused, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_diff_reads_well_and_ends_well(tmp_path: Path) -> None:
    new = changed(tmp_path)
    result = run("diff", str(TRAIN), str(new))
    assert (result.returncode, result.stdout) == (0, "~ Parameters.MaxDepth.DefaultValue: 4 → 6\n")
    assert run("diff", "--exit-code", str(TRAIN), str(new)).returncode == 3
    same = run("diff", "--exit-code", str(TRAIN), "-", input=json.dumps(json.loads(TRAIN.read_text()), sort_keys=True))
    assert (same.returncode, same.stdout) == (0, "No changes.\n")
    as_json = run("diff", "--json", str(TRAIN), str(new))
    assert json.loads(as_json.stdout) == [
        {"kind": "changed", "path": "Parameters.MaxDepth.DefaultValue", "before": 4, "after": 6}
    ]


def test_an_invalid_definition_cannot_be_compared(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"Steps": [{}]}')
    assert f"{broken}:1:12: Steps[0]: a step has no 'Name'" in refused(run("diff", str(TRAIN), str(broken)))


def test_a_reader_that_has_enough_is_no_error() -> None:
    script = f"{sys.executable} -m airflow_sm_pipelines.cli diff --json {TRAIN} {DATA / 'fan_out.json'} | head -n 1"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("[\n", "")
