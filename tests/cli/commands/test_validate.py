"""``validate``: what is wrong, line by line, as JSON, and by the exit code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.cli.command_runs import DATA, TESTS, TRAIN, refused, run

if TYPE_CHECKING:
    from pathlib import Path


def test_a_valid_definition_is_said_to_be_valid() -> None:
    result = run("validate", str(TRAIN), str(DATA / "fan_out.json"))
    assert result.stdout.splitlines() == [
        f"{TRAIN}: valid (6 steps, 6 parameters)",
        f"{DATA / 'fan_out.json'}: valid (5 steps, 1 parameter)",
    ]
    assert (result.returncode, result.stderr) == (0, "")


def test_an_invalid_definition_is_shown_line_by_line() -> None:
    text = '{"Steps": [\n  {"Name": "A", "Type": "Model", "DependsOn": ["B"]},\n  {"Name": "A", "Type": "Model"}]}'
    result = run("validate", "-", input=text)
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        (
            "standard input:3:12: error: Steps[1].Name: the name 'A' is taken by the step at Steps[0]. Step names must "
            "be unique in the whole pipeline, in branches and ForEach bodies too: rename one."
        ),
        (
            "standard input:2:48: error: Steps[0].DependsOn[0]: step 'A' depends on 'B', but no step is called 'B'. "
            "The steps are 'A'."
        ),
        "standard input: invalid (2 errors)",
    ]


def test_findings_of_the_policy_have_lines_too() -> None:
    text = '{"Steps": [{"Name": "A", "Type": "Model",\n "Arguments": {\n  "Containers": 5, "Odd": 1}}]}'
    result = run("validate", "-", input=text)
    assert result.stdout.splitlines() == [
        (
            "standard input:3:27: error: Steps[0].Arguments.Odd: step 'A': CreateModelInput has no member 'Odd' that "
            "is known here. Check the spelling, or update boto3."
        ),
        "standard input:3:17: error: Steps[0].Arguments.Containers: step 'A': expected an array, found the number 5.",
        "standard input: invalid (2 errors)",
    ]
    assert result.returncode == 1


def test_warnings_fail_only_where_that_is_asked_for() -> None:
    text = '{"Steps": [{"Name": "A", "Type": "Teleport"}]}'
    assert run("validate", "-", input=text).returncode == 0
    assert run("validate", "--strict", "-", input=text).returncode == 1


def test_findings_come_as_json() -> None:
    result = run("validate", "--json", "-", input='{"Steps": 5}')
    assert result.returncode == 1
    assert json.loads(result.stdout) == {
        "source": "standard input",
        "valid": False,
        "findings": [
            {
                "severity": "error",
                "rule": "structure",
                "path": "Steps",
                "line": 1,
                "column": 11,
                "message": "'Steps' must be an array, found the number 5.",
            }
        ],
        "steps": 0,
        "parameters": 0,
    }


def test_a_source_that_cannot_be_read_is_told_with_a_remedy(tmp_path: Path) -> None:
    assert refused(run("validate", str(tmp_path / "no.json"))) == (
        f"sm-pipelines: Cannot read {tmp_path / 'no.json'}: No such file or directory.\n"
    )
    assert "holds a pipeline" in refused(run("validate", str(tmp_path)))
    assert "Cannot read the pipeline script" in refused(run("diff", "no.py", "x.json"))
    assert "such as" not in refused(run("validate", "no.py:get_pipeline"))


DEMO = DATA / "diabetes_v2.json"
POLICY = TESTS.parent / "dags" / "policies" / "team.toml"


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
    assert result.stdout.splitlines()[-1] == f"{DEMO}: valid (6 steps, 7 parameters)"


def test_validate_explains_what_the_policy_says_of_every_place() -> None:
    result = run("validate", "--json", "--explain", "--policy-file", str(POLICY), str(DEMO))
    places = json.loads(result.stdout)["places"]
    by_path = {(place["path"], place["key"]): place for place in places}
    image = by_path["Steps[1].Arguments.AlgorithmSpecification.TrainingImage", "images.allowed"]
    assert (image["verdict"], image["kind"], image["step"]) == ("kept", "image", "Train")
    network = by_path["Steps[1].Arguments.VpcConfig", "network.subnets"]
    assert (network["verdict"], network["is_missing"]) == ("broken", True)
    chosen = by_path["Steps[1].Arguments.ResourceConfig.InstanceType", "instances.allowed"]
    assert (chosen["verdict"], chosen["unknown"]) == ("unknown", ["Parameters.InstanceType"])
    assert chosen["possible_values"] == ["ml.m5.large"]
    group = by_path["Steps[3].Arguments.IfSteps[0].Arguments.ModelPackageGroupName", "accounts.allowed"]
    assert group["verdict"] == "allowed"

    lines = run("validate", "--explain", "--policy-file", str(POLICY), str(DEMO)).stdout.splitlines()
    assert sum(": kept: Steps" in line for line in lines) == sum(place["verdict"] == "kept" for place in places)


def test_an_explanation_needs_a_policy() -> None:
    result = run("validate", "--explain", str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert "name its file with --policy-file" in result.stderr


def test_filling_in_needs_a_policy() -> None:
    result = run("validate", "--policy", "apply", str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert "name its file with --policy-file" in result.stderr


def test_a_wrong_policy_is_told_without_a_traceback(tmp_path: Path) -> None:
    policy = tmp_path / "team.toml"
    policy.write_text("[netwrok]\n")
    result = run("validate", "--policy-file", str(policy), str(DEMO))
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines() == [
        f"sm-pipelines: {policy} is not a policy:",
        "  [netwrok] is not a section of a policy. Did you mean 'network'?",
    ]
