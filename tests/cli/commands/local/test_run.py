"""``local run``, and ``local exec`` beside it, called in this process: what the command or the script is given."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli import local_session, main
from airflow_sm_pipelines.compiler import local_scripts
from airflow_sm_pipelines.compiler.interpreter import ScriptInterpreter
from airflow_sm_pipelines.local_endpoint import ENDPOINT_VARIABLE

if TYPE_CHECKING:
    import pytest

REPORT = (
    "import os, sys; old = os.umask(0); "
    f"print(sys.argv[1:], oct(old), bool(os.environ.get('{ENDPOINT_VARIABLE}')), "
    "os.environ.get('SAGEMAKER_SUPPRESS_V2_WARNING'), flush=True); "
    "sys.exit(int(sys.argv[1]))"
)


def test_a_command_gets_its_words_the_endpoint_and_the_umask(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    umask = local_session.read_umask()
    command = [sys.executable, "-c", REPORT, "7", "--quiet"]
    assert main(["local", "exec", "--quiet", "--state-dir", str(tmp_path), "--", *command]) == 7
    assert capfd.readouterr().out == f"['7', '--quiet'] {oct(umask)} True None\n"
    assert local_session.read_umask() == umask


def test_a_script_runs_on_an_endpoint_or_on_the_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(REPORT)
    plain = ScriptInterpreter(Path(sys.executable), identity="")
    monkeypatch.setattr(local_scripts, "find_interpreter", lambda *_, **__: plain)
    monkeypatch.setattr(local_scripts, "_WORKER", "-S")
    words = ["local", "run", "--quiet", "--ephemeral", str(script), "3", "-x"]
    umask = oct(local_session.read_umask())
    assert main(words) == 3
    assert capfd.readouterr().out == f"['3', '-x'] {umask} True 1\n"
    with socket.create_server(("127.0.0.1", 0)) as there:
        monkeypatch.setenv(ENDPOINT_VARIABLE, f"http://127.0.0.1:{there.getsockname()[1]}")
        monkeypatch.setattr(local_session, "open_endpoint", None)
        assert main(words) == 3
    assert capfd.readouterr().out == f"['3', '-x'] {umask} True 1\n"
    assert main(words) == 2
    assert "No local endpoint answers there: start it with 'sm-pipelines local serve'" in capfd.readouterr().err
