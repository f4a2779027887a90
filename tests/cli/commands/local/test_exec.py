"""``local exec``: a command that sees this machine as AWS."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_runs import RunningCommand, execute, read_line, refused, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


def test_a_command_runs_with_aws_on_this_machine_only(tmp_path: Path) -> None:
    code = (
        "import boto3, json, os\n"
        "boto3.client('s3').create_bucket(Bucket='example-bucket')\n"
        "print(json.dumps([boto3.client('sts').get_caller_identity()['Account'],"
        " boto3.client('sagemaker').list_pipelines()['PipelineSummaries'],"
        " {name: value for name, value in os.environ.items() if 'AWS' in name}]))"
    )
    env = {"AWS_PROFILE": "real", "AWS_SESSION_TOKEN": "real", "AWS_ENDPOINT_URL_S3": "http://real"}
    result = execute(sys.executable, "-c", code, state=tmp_path / "state", env=env)
    assert result.returncode == 0, result.stderr
    account, pipelines, variables = json.loads(result.stdout)
    assert (account, pipelines) == ("123456789012", [])
    assert variables["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert variables["AIRFLOW_CONN_AWS_DEFAULT"] == "aws://"
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"} & set(variables)
    assert result.stderr == (
        f"sm-pipelines: local endpoint {variables['AWS_ENDPOINT_URL']}, "
        f"pages at {variables['AWS_ENDPOINT_URL']}/_console, state in {tmp_path / 'state'}\n"
    )
    again = execute(
        sys.executable,
        "-c",
        "import boto3; print([b['Name'] for b in boto3.client('s3').list_buckets()['Buckets']])",
        state=tmp_path / "state",
    )
    assert again.stdout == "['example-bucket']\n"


@pytest.mark.parametrize(
    ("script", "code"), [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)]
)
def test_the_exit_code_is_the_commands_own(script: str, code: int) -> None:
    result = run("local", "exec", "--quiet", "--ephemeral", "--", "sh", "-c", script)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


def test_a_command_that_cannot_run_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    result = execute("no-such-command", state=tmp_path)
    assert result.returncode == 127
    assert result.stderr.startswith("sm-pipelines: command not found: no-such-command")
    file = tmp_path / "plain.txt"
    file.write_text("text")
    result = execute(str(file), state=tmp_path)
    assert (result.returncode, "cannot be executed" in result.stderr) == (126, True)
    assert "No command to run" in refused(run("local", "exec", "--"))


def test_a_signal_reaches_the_command_and_its_answer_comes_back(tmp_path: Path) -> None:
    script = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.05; done"
    with RunningCommand("local", "exec", "--quiet", "--state-dir", str(tmp_path), "--", "sh", "-c", script) as process:
        assert read_line(process) == "ready\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 5
        assert process.stdout is not None
        assert process.stdout.read() == "told\n"
    assert not (tmp_path / "server.json").exists()


def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        message = refused(run("local", "serve", "--state-dir", str(tmp_path), "--port", str(port)))
    assert str(port) in message
    assert len(message.splitlines()) == 1


def test_a_state_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    message = refused(execute("true", state=file / "state"))
    assert f"The state directory {file / 'state'} cannot be written" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_state_directory_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    message = refused(execute("true", state=tmp_path / "state"))
    assert "cannot be written" in message


def test_the_command_keeps_the_umask_and_jobs_have_a_container_s(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        ended = execute("sh", "-c", "umask", state=tmp_path / "state")
    finally:
        os.umask(before)
    assert ended.stdout.strip() == "0027"
    assert not [file for file in (tmp_path / "state").rglob("*") if file.is_file() and file.stat().st_mode & 0o077]
