"""``local serve``: an endpoint that keeps running."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.cli.local_session import default_state_dir
from airflow_sm_pipelines.local_endpoint import PROXY_VARIABLES
from tests.cli.command_runs import RunningCommand, execute, read_line, refused, run

LISTING = "import boto3; print(boto3.client('sagemaker').list_pipelines()['PipelineSummaries'])"


@pytest.mark.processes
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


class SignalAtTheEnd(io.StringIO):
    """Standard output whose reader sends a signal once the endpoint says that it serves."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def write(self, text: str) -> int:
        """Write, and send the signal after the last line."""
        written = super().write(text)
        if "Stop it with Ctrl-C." in text:
            signal.raise_signal(self._number)
        return written


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda one: one.name)
def test_each_signal_that_means_the_end_stops_an_endpoint_in_order(
    number: signal.Signals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signal.getsignal(number)
    shown = SignalAtTheEnd(number)
    monkeypatch.setattr(sys, "stdout", shown)
    assert main(["local", "serve", "--state-dir", str(tmp_path), "--port", "0", "--region", "eu-west-1"]) == 0
    lines = shown.getvalue().splitlines()
    assert "(region eu-west-1, account " in lines[0]
    assert lines[-1] == "Stopping; what is running goes on at the next start."
    assert signal.getsignal(number) is before
