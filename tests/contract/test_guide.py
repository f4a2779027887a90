"""What AWS's developer guide shows, on unmodified SDK v2: each thing runs twice, or is refused as the page says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_sm_pipelines.environments import ensure_environment
from tests.contract.test_sdk_clients import REQUIREMENTS

#: Pipelines that the guide lets fail: their last step is a Fail step.
FAIL = {"a Fail step with a parameter in its text", "a rule that starts the pipeline", "a rule by the clock"}

pytestmark = [pytest.mark.slow, pytest.mark.processes]


def read_table(page: str) -> dict[str, tuple[str, str]]:
    """The page's rows: what is shown, with how it ends as printed, and the change."""
    lines = page.partition("| what the guide shows |")[2].splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {shown: (printed, change) for shown, printed, change in cells}


def test_the_guides_snippets_run_twice_or_are_refused_as_the_page_says(repository: Path):
    guide = repository / "tests" / "data" / "scripts" / "guide"
    groups = ["--model-group", "guide", "--model-group", "guide-checks"]
    python = ensure_environment([REQUIREMENTS["v2"]])
    ended = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("sm-pipelines")), "local", "exec", "--ephemeral", *groups, "--"),
            *(str(python), "-W", "ignore", str(guide / "guide.py")),
        ],
        env={**os.environ, "SM_PIPELINES_STAND_INS": str(guide / "stand_ins.toml")},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-4000:]
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    rows = read_table((repository / "docs" / "practices.md").read_text(encoding="utf-8"))
    assert list(rows) == list(found)
    for shown, came in found.items():
        printed, change = rows[shown]
        assert change == came["change"], shown
        assert came["fault"] is None, (shown, came["fault"])
        end = "Failed" if shown in FAIL else "Succeeded"
        assert [status for status, _ in came["ends"]] == [end, end], (shown, came["ends"])
        if change:
            assert printed.partition("`")[2].rstrip("`") in came["printed"], shown
        else:
            assert printed == "runs", shown
