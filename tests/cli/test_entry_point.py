"""The command itself: help, usage errors, and a quick start."""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.cli.commands import COMMANDS
from airflow_sm_pipelines.cli.entry_point import name_flags
from airflow_sm_pipelines.cli.shared_options import open_calls
from tests.cli.command_runs import refused, run

if TYPE_CHECKING:
    from pathlib import Path

EXECUTION = "arn:aws:sagemaker:us-west-2:123456789012:pipeline/train/execution/abcdefghijkl"


def test_help_is_there_for_every_command() -> None:
    for command in ([], ["compile"], ["validate"], ["diff"], ["local"], ["local", "exec"], ["local", "serve"]):
        result = run(*command, "--help")
        assert result.returncode == 0
        assert result.stdout.startswith("usage: ")


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    assert "is not a port" in refused(run("local", "serve", "--port", "70000"))
    assert "not allowed with" in refused(run("local", "serve", "--ephemeral", "--state-dir", str(tmp_path)))


def test_a_command_alone_shows_its_commands_in_groups() -> None:
    result = run()
    assert result.returncode == 2
    assert "\n  Deploy\n    deploy " in result.stdout
    assert all(re.search(rf"\n    {name}\s", result.stdout) for name in COMMANDS)
    local = run("local")
    assert local.returncode == 2
    assert "serve" in local.stdout


def test_asking_for_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom airflow_sm_pipelines.cli.entry_point import make_parser\nmake_parser().format_help()\n"
        "print([name for name in ('airflow', 'boto3', 'botocore', 'moto', 'sagemaker') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("pipeline_name='my_pipe' is no pipeline name", "--pipeline-name 'my_pipe' is no pipeline name"),
        ("aliases: '5' is no alias", "--alias: '5' is no alias"),
        ("f(session, role_arn) needs 'role': give role_arn.", "f(session, role_arn) needs 'role': give --role-arn."),
        ("role_arn is needed to create 'x'", "--role-arn is needed to create 'x'"),
        ("The API refused RoleArn='x'", "The API refused RoleArn='x'"),
    ],
)
def test_a_message_names_the_commands_own_options(message: str, shown: str) -> None:
    assert name_flags(message) == shown


def test_a_parameter_without_its_option_is_told_how(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["run", "train", "MaxDepth=4", "Eta=0.1"])
    assert "write -p before each parameter: -p MaxDepth=4 -p Eta=0.1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["validate", "a.json", "--nonsense"])
    assert "unrecognized arguments: --nonsense" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["run", "my_pipe"], "'my_pipe' is no pipeline name: expected letters, digits and '-', at most 256 characters"),
        (["run", "d.json", "--pipeline-name", "my_pipe"], "'my-pipe' would do"),
        (["run", "train.py"], "has no .py file"),
        (["run", "trian.py:get_pipeline"], "trian.py: No such file or directory."),
        (["compile", "none/train.py:get_pipeline"], "/none."),
        (["run", "d.json", "--alias", "5"], "'5' is no alias"),
        (["run", "train", "-p", "MaxDepth"], "'MaxDepth' is not NAME=VALUE with the name of a pipeline parameter."),
        (["deploy", "d.json", "--tag", "team"], "--tag 'team' is not NAME=VALUE with a key."),
        (["deploy", "d.json", "--cost-tag", "team"], "--cost-tag 'team' is not NAME=VALUE with a key."),
        (["watch", "train_model"], "'train_model' names neither an execution nor a pipeline"),
        (["cost", "arn:aws:s3:::bucket"], "names neither an execution nor a pipeline"),
        (["watch", EXECUTION, "--region", "eu-west-1"], "is in us-west-2. Leave --region out."),
        (["graph", "d.json", "-o", "d.PNG"], "graph writes no .png file. Name it d.svg"),
        (["graph", "d.json", "-o", "d.json"], "End it in .svg, .mmd or .txt"),
        (["diff", "arn:aws:s3:::bucket", "d.json"], "is neither a pipeline nor an execution"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else "",
)
def test_what_cannot_be_meant_is_told_before_anything_is_asked(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """There is no region and there are no credentials, so a call, or a search for them, would say something else."""
    (tmp_path / "d.json").write_text('{"Version": "2020-12-01", "Steps": []}')
    monkeypatch.chdir(tmp_path)
    without_aws(monkeypatch, tmp_path)
    assert main(arguments) == 2
    assert said in capsys.readouterr().err


def test_an_arn_brings_its_region_and_a_wrong_profile_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without_aws(monkeypatch, tmp_path)
    given = argparse.Namespace(profile=None, region=None)
    assert open_calls(given, arn=EXECUTION).conn_region_name == "us-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert open_calls(given, arn=EXECUTION).conn_region_name == "us-west-2"
    assert open_calls(given, arn="train").conn_region_name == "eu-west-1"
    monkeypatch.setenv("AWS_PROFILE", "nope")
    assert main(["versions", "train"]) == 2
    assert "There is no AWS profile 'nope', which AWS_PROFILE names." in capsys.readouterr().err


def without_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))


@pytest.mark.parametrize(
    ("typed", "found"),
    [("sm-pipelines v", ["validate", "versions"]), ("sm-pipelines run --poli", ["--policy-file", "--policy"])],
)
def test_a_shell_can_complete_commands_and_options(typed: str, found: list[str], tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer)}
    asked |= {"COMP_LINE": typed, "COMP_POINT": str(len(typed)), "COMP_TYPE": "9"}
    command = [sys.executable, "-c", "from airflow_sm_pipelines.cli import main; main()"]
    subprocess.run(command, env={**os.environ, **asked}, check=True, timeout=60)
    assert answer.read_text().split() == found
