"""A team's policy at the command line: CI refuses a definition, and a definition filled in passes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "tests" / "data" / "definitions" / "diabetes_v2.json"
POLICY = ROOT / "dags" / "policies" / "team.toml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "airflow_sm_pipelines.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_validate_holds_a_definition_against_the_teams_policy() -> None:
    result = run("validate", "--json", "--policy-file", str(POLICY), str(DEMO))
    assert result.returncode == 1
    report = json.loads(result.stdout)
    refused = {finding["rule"] for finding in report["findings"] if finding["severity"] == "error"}
    assert len(refused) >= 5
    assert refused == {rule for rule in refused if rule.startswith("team-")}
    assert all(finding["line"] for finding in report["findings"])


def test_validate_says_whether_the_filled_in_definition_would_pass() -> None:
    result = run("validate", "--policy-file", str(POLICY), "--policy", "apply", str(DEMO))
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.splitlines()[-1] == f"{DEMO}: valid (6 steps, 7 parameters; 3 warnings)"


def test_filling_in_needs_a_policy() -> None:
    result = run("validate", "--policy", "apply", str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert "name its file with policy_file" in result.stderr


def test_a_wrong_policy_is_told_without_a_traceback(tmp_path: Path) -> None:
    policy = tmp_path / "team.toml"
    policy.write_text("[netwrok]\n")
    result = run("validate", "--policy-file", str(policy), str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"sm-pipelines: {policy} is not a policy:",
        "  [netwrok] is not a section of a policy. Did you mean 'network'?",
    ]
