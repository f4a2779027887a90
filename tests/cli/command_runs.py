"""The command as a user runs it: a process with its output and its exit code."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent.parent
DATA = TESTS / "data" / "definitions"
TRAIN = DATA / "train_and_evaluate.json"
COMMAND = [sys.executable, "-m", "airflow_sm_pipelines.cli"]
SMALL = {
    "Parameters": [{"Name": "Limit", "Type": "Integer", "DefaultValue": 5}],
    "Steps": [
        {
            "Name": "Check",
            "Type": "Condition",
            "Arguments": {
                "Conditions": [{"Type": "GreaterThan", "LeftValue": {"Get": "Parameters.Limit"}, "RightValue": 10}],
                "IfSteps": [{"Name": "Stop", "Type": "Fail", "Arguments": {"ErrorMessage": "over the limit"}}],
                "ElseSteps": [],
            },
        }
    ],
}


def run(*arguments: str, env: dict[str, str] | None = None, **options: Any) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(env or {})}
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False, env=environment, **options
    )


def changed(tmp_path: Path) -> Path:
    document = json.loads(TRAIN.read_text())
    document["Parameters"][1]["DefaultValue"] = 6
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(document))
    return path


def refused(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr


def execute(*command: str, state: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run("local", "exec", "--state-dir", str(state), "--", *command, env=env)


class RunningCommand:
    """A running command that is ended with the block."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # Where the tests run in a shell's background, SIGINT is ignored, and children inherit that.
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
        )

    def __enter__(self) -> subprocess.Popen[str]:
        return self.process

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        if self.process.stdout is not None:
            self.process.stdout.close()


def read_line(process: subprocess.Popen[str], seconds: float = 30) -> str:
    """The next line of a process's output, waited for."""
    assert process.stdout is not None
    return next(iter_lines(process, time.monotonic() + seconds))


def iter_lines(process: subprocess.Popen[str], deadline: float) -> Iterator[str]:
    """The lines of a process's output until a deadline. Reads bytes: what is buffered is not seen by select."""
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    line = b""
    while True:
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"no line came in time; so far: {line!r}"
        byte = os.read(descriptor, 1)
        line += byte
        if not byte or byte == b"\n":
            yield line.decode()
            line = b""
