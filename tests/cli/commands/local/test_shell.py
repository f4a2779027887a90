"""``local shell``: what a failed job has left can be entered, also after a restart of the endpoint."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command_runs import COMMAND, execute, refused, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

ROLE = "arn:aws:iam::123456789012:role/SageMaker"
PROCESSING = {
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
    "AppSpecification": {"ImageUri": "plain:1", "ContainerEntrypoint": ["sh", "-c", "echo 4 > /opt/ml/left; exit 3"]},
    "Environment": {"DEPTH": "12"},
    "RoleArn": ROLE,
}
TRAINING = {
    "AlgorithmSpecification": {"TrainingImage": "own:1", "TrainingInputMode": "File"},
    "OutputDataConfig": {"S3OutputPath": "s3://models/"},
    "ResourceConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "HyperParameters": {"depth": "7"},
    "RoleArn": ROLE,
}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of an endpoint that has ended, with an execution whose two steps have failed."""
    folder = tmp_path_factory.mktemp("shell")
    (folder / "src").mkdir()
    (folder / "src" / "fit.py").write_text("import sys\nprint(open('/opt/program/fit.py').read())\nsys.exit(5)\n")
    (folder / "images.toml").write_text(
        f'[[image]]\nmatch = "plain"\ninterpreter = {json.dumps(sys.executable)}\n'
        f'[[image]]\nmatch = "own"\ninterpreter = {json.dumps(sys.executable)}\nworkdir = "/opt/program"\n'
        'files = { "/opt/program" = "src" }\nentrypoint = ["python3", "fit.py"]\n'
    )
    steps: list[dict[str, Any]] = [
        {"Name": "Prepare", "Type": "Processing", "Arguments": PROCESSING},
        {"Name": "Train", "Type": "Training", "Arguments": TRAINING},
    ]
    definition = folder / "price.json"
    definition.write_text(json.dumps({"Version": "2020-12-01", "Steps": steps}))
    command = [*COMMAND, "run", str(definition), "--pipeline-name", "price", "--role-arn", ROLE]
    ended = execute(*command, state=folder / "state", env={"SM_PIPELINES_IMAGES": str(folder / "images.toml")})
    assert ended.returncode == 1, ended.stderr
    return folder / "state"


def enter(state: Path, step: str, *command: str) -> subprocess.CompletedProcess[str]:
    return run("local", "shell", "--state-dir", str(state), "price", step, "--", *command)


def test_a_command_runs_where_the_job_failed(state: Path) -> None:
    ask = 'import boto3; print(boto3.client("sts").get_caller_identity()["Account"])'
    script = f"cat /opt/ml/left; echo $DEPTH; rerun; echo $?; python -c '{ask}'; exit 9"
    ended = enter(state, "Prepare", "sh", "-c", script)
    assert (ended.returncode, ended.stdout.splitlines()) == (9, ["4", "12", "3", "123456789012"]), ended.stderr


def test_a_terminal_gets_a_shell_in_an_image_of_ones_own(state: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "local", "shell", "--state-dir", str(state), "price", "Train"],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(terminal)
    seen = read_until(controller, "(Train) ")
    assert "ended with exit code 5" in seen
    for line, expected in (
        ("pwd", "\n/opt/program"),
        ("rerun; echo code $?", "code 5"),
        ("sed -i 's/exit(5)/exit(0)/' fit.py; rerun; echo code $?", "code 0"),
        ("cat /opt/ml/input/config/hyperparameters.json", '"depth": "7"'),
        ("exit 4", "exit"),
    ):
        os.write(controller, f"{line}\n".encode())
        read_until(controller, expected)
    assert process.wait(30) == 4
    os.close(controller)


def test_what_cannot_be_entered_is_told(state: Path) -> None:
    assert "has no step 'Trian'. Did you mean 'Train'?" in refused(enter(state, "Trian", "true"))
    missing = state.parent / "none"
    assert f"There is no state directory {missing}" in refused(enter(missing, "Train", "true"))


def read_until(descriptor: int, text: str, *, seconds: float = 60) -> str:
    seen = ""
    deadline = time.monotonic() + seconds
    while text not in seen.replace("\r", ""):
        assert time.monotonic() < deadline, seen
        if select.select([descriptor], [], [], 1)[0]:
            seen += os.read(descriptor, 65536).decode(errors="replace")
    return seen
