"""``local serve``: an endpoint that keeps running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.local_session import default_state_dir
from airflow_sm_pipelines.local_endpoint import PROXY_VARIABLES
from tests.cli.command_runs import RunningCommand, execute, read_line, refused, run

if TYPE_CHECKING:
    import pytest

LISTING = "import boto3; print(boto3.client('sagemaker').list_pipelines()['PipelineSummaries'])"


def test_an_endpoint_serves_until_it_is_told_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/bash")
    with RunningCommand("local", "serve", "--state-dir", str(tmp_path), "--port", "0") as process:
        first = read_line(process)
        assert first.startswith("Local SageMaker endpoint: http://127.0.0.1:")
        lines = []
        while not (line := read_line(process)).startswith("Stop"):
            if line.startswith(("  export ", "  unset ")):
                lines.append(line.strip())
        # As a user has it: a profile that the endpoint knows nothing of, and a shell that reads `local env`.
        printed = run("local", "env", "--state-dir", str(tmp_path), "--shell", "bash", env={"AWS_PROFILE": "work"})
        assert printed.returncode == 0, printed.stderr
        # What serve prints often ends in a log, so it names the file of the secret.
        secret = (tmp_path / "secret").read_text().strip()
        proxies = [line for line in printed.stdout.splitlines() if "_proxy=http" in line.lower()]
        assert len(proxies) == len(PROXY_VARIABLES)
        assert [line for line in printed.stdout.splitlines() if line not in proxies] == [
            line.replace(f'"$(cat {tmp_path}/secret)"', secret) for line in lines
        ]
        listing = subprocess.run(
            ["bash", "-c", "\n".join([*lines, f'exec {sys.executable} -c "$LISTING"'])],
            env={**os.environ, "AWS_PROFILE": "work", "LISTING": LISTING},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert listing.stdout == "[]\n", listing.stderr
        in_use = refused(execute("true", state=tmp_path))
        assert f"in use by another local endpoint at {first.split()[3]}" in in_use
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert execute("true", state=tmp_path).returncode == 0


def test_the_state_has_a_home_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_state_dir({}) == Path("/home/someone/.local/state/airflow-sm-pipelines/local")
    assert default_state_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/airflow-sm-pipelines/local")
    assert default_state_dir({"XDG_STATE_HOME": "relative"}).is_relative_to("/home/someone")
    assert default_state_dir({"SM_PIPELINES_STATE_DIR": "here", "XDG_STATE_HOME": "/state"}) == Path("here")


def test_where_no_endpoint_runs_env_prints_nothing_to_evaluate(tmp_path: Path) -> None:
    (tmp_path / "server.json").write_text('{"url": "http://127.0.0.1:9", "pid": 1}')  # what a killed one leaves
    found = run("local", "env", "--state-dir", str(tmp_path))
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == (
        f"# No local endpoint runs on {tmp_path}. Start one in another terminal: sm-pipelines local serve\n"
    )
