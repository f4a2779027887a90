"""``local shell``: what a failed job has left can be entered, also after a restart of the endpoint."""

from __future__ import annotations

import json
import os
import pty
import select
import shlex
import subprocess
import sys
import tarfile
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


PAIR = {
    **PROCESSING,
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 2, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 1}},
    "AppSpecification": {
        "ImageUri": "plain:1",
        "ContainerEntrypoint": [
            "sh",
            "-c",
            "grep -q '_host.: .algo-1' /opt/ml/config/resourceconfig.json || exit 6",
        ],
    },
}
TUNING = {
    "HyperParameterTuningJobConfig": {
        "Strategy": "Random",
        "HyperParameterTuningJobObjective": {"Type": "Minimize", "MetricName": "m"},
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
        "ParameterRanges": {"IntegerParameterRanges": [{"Name": "depth", "MinValue": "11", "MaxValue": "13"}]},
    },
    "TrainingJobDefinition": {
        **{name: value for name, value in TRAINING.items() if name != "HyperParameters"},
        "AlgorithmSpecification": {
            **TRAINING["AlgorithmSpecification"],
            "MetricDefinitions": [{"Name": "m", "Regex": "m=(.*)"}],
        },
    },
}
INFERENCE = """
def model_fn(folder): return 2
def predict_fn(rows, model): return [model / float(row) for row in rows.split()]
def input_fn(text, kind): return text
def output_fn(found, kind): return "\\n".join(map(str, found)), kind
"""


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state of an endpoint that has ended, with steps of other kinds that have failed."""
    folder = tmp_path_factory.mktemp("several")
    (folder / "fit.py").write_text("raise SystemExit(5)")
    (folder / "images.toml").write_text(
        f'[[image]]\nmatch = "plain"\ninterpreter = {json.dumps(sys.executable)}\n'
        f'[[image]]\nmatch = "own"\ninterpreter = {json.dumps(sys.executable)}\nworkdir = "/opt/program"\n'
        'files = { "/opt/program/fit.py" = "fit.py" }\nentrypoint = ["python3", "fit.py"]\n'
    )
    (folder / "rows.csv").write_text("1\n0\n")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        (folder / "inference.py").write_text(INFERENCE)
        archive.add(folder / "inference.py", "code/inference.py")
    model = {"Image": "plain:1", "ModelDataUrl": "s3://models/model.tar.gz"}
    transform = {
        "ModelName": {"Get": "Steps.Model.ModelName"},
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://models/rows.csv"}},
            "ContentType": "text/csv",
            "SplitType": "Line",
        },
        "TransformOutput": {"S3OutputPath": "s3://models/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
    }
    for name, steps in {
        "price": [
            {"Name": "Pair", "Type": "Processing", "Arguments": PAIR},
            {"Name": "Tune", "Type": "Tuning", "Arguments": TUNING},
        ],
        "score": [
            {"Name": "Model", "Type": "Model", "Arguments": {"PrimaryContainer": model, "ExecutionRoleArn": ROLE}},
            {"Name": "Score", "Type": "Transform", "Arguments": transform},
        ],
    }.items():
        (folder / f"{name}.json").write_text(json.dumps({"Version": "2020-12-01", "Steps": steps}))
    uploads = [f"--upload=s3://models/{name}={folder / name}" for name in ("model.tar.gz", "rows.csv")]
    command = f"{shlex.join(COMMAND)} run $0 --role-arn {ROLE}; {shlex.join(COMMAND)} run $1 --role-arn {ROLE}"
    ended = run(
        *("local", "exec", "--state-dir", str(folder / "state"), *uploads, "--"),
        *("sh", "-c", command, str(folder / "price.json"), str(folder / "score.json")),
        env={"SM_PIPELINES_IMAGES": str(folder / "images.toml")},
    )
    assert ended.returncode == 1, ended.stderr
    return folder / "state"


def enter_one_of(state: Path, pipeline: str, step: str, *command: str) -> subprocess.CompletedProcess[str]:
    return run("local", "shell", "--state-dir", str(state), pipeline, step, "--", *command)


def test_of_several_instances_the_one_that_failed_is_entered(several: Path) -> None:
    ended = enter_one_of(several, "price", "Pair", "sh", "-c", "cat /opt/ml/config/resourceconfig.json; rerun")
    assert ended.returncode == 6, ended.stderr
    assert json.loads(ended.stdout)["current_host"] == "algo-2"


def test_of_a_tuning_step_the_newest_training_job_is_entered(several: Path) -> None:
    script = "cat /opt/ml/input/config/hyperparameters.json; rerun"
    ended = enter_one_of(several, "price", "Tune", "sh", "-c", script)
    assert ended.returncode == 5, ended.stderr
    assert json.loads(ended.stdout)["depth"] in ("11", "12", "13")
    assert "The newest of 2 failed training jobs" in ended.stderr


def test_a_transform_job_is_entered_and_its_payloads_are_sent_again(several: Path) -> None:
    rerun = "rerun 2>&1 | tail -n 1"
    mend = "sed -i 's/model . float.row./float(row)/' /opt/ml/model/code/inference.py"
    ended = enter_one_of(several, "score", "Score", "sh", "-c", f"{rerun}; {mend}; {rerun}; rerun && echo mended")
    assert "division by zero" in ended.stdout.splitlines()[0], ended
    assert ended.stdout.splitlines()[-1] == "mended"


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
    entries = "".join(f"  sm-pipelines local shell price {step}\n" for step in ("Prepare", "Train"))
    said = f"sm-pipelines: enter what failed:\n{entries}"
    assert said in ended.stderr
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
