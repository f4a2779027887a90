"""``plan`` as a user and as CI runs it: offline, and beside the real local endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.command_runs import DATA, SMALL, run

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer


DEMO = DATA / "diabetes_v2.json"


def changed(tmp_path: Path) -> Path:
    document = json.loads(DEMO.read_text())
    document["Parameters"][1]["DefaultValue"] = 3
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


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
