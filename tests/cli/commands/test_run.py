"""``run``, ``watch`` and ``local exec --progress`` beside the real local endpoint, on a terminal and without one."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from tests.airflow_runs import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_sm_pipelines.server import RunningServer

pytestmark = pytest.mark.slow

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"
CLI = [sys.executable, "-m", "airflow_sm_pipelines.cli"]


def job(name: str, code: str, *upstream: str) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Processing",
        "DependsOn": list(upstream),
        "Arguments": {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30}
            },
            "AppSpecification": {
                "ImageUri": "683313688378.dkr.ecr.us-east-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3",
                "ContainerEntrypoint": ["python3", "-c", code],
                "ContainerArguments": [{"Get": "Parameters.Word"}],
            },
            "RoleArn": ROLE,
        },
    }


def write(path: Path, *steps: dict[str, Any]) -> str:
    parameters = [
        {"Name": "Word", "Type": "String", "DefaultValue": "hello"},
        {"Name": "Count", "Type": "Integer", "DefaultValue": 1},
    ]
    path.write_text(json.dumps({"Version": "2020-12-01", "Parameters": parameters, "Steps": list(steps)}))
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A running endpoint."""
    from airflow_sm_pipelines.server import serve

    with serve(tmp_path_factory.mktemp("state")) as running:
        yield running


def run(server: RunningServer, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CLI, *arguments], capture_output=True, text=True, timeout=120, check=False, env=server.environment()
    )


def on_terminal(command: list[str], environment: dict[str, str]) -> tuple[int, str]:
    """Run on a terminal of 100 columns; the exit code, and all that was written there."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    child = subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env={**environment, "TERM": "xterm-256color"}
    )
    os.close(theirs)
    written = b""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:
            break
        if not read:
            break
        written += read
    os.close(ours)
    return child.wait(60), written.decode("utf-8", "replace")


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_definition_is_deployed_run_and_told_line_by_line(server: RunningServer, tmp_path: Path) -> None:
    first = job("First", "open('/opt/ml/processing/scores/a.csv', 'w').write('1')")
    output = {"S3Uri": "s3://scores/here", "LocalPath": "/opt/ml/processing/scores", "S3UploadMode": "EndOfJob"}
    first["Arguments"]["ProcessingOutputConfig"] = {"Outputs": [{"OutputName": "scores", "S3Output": output}]}
    connect(server, "s3").create_bucket(Bucket="scores")
    source = write(tmp_path / "two_steps.json", first, job("Second", "print(2)", "First"))
    done = run(server, "run", source, "--role-arn", ROLE, "-p", "Word=bye", "-p", "Count=3")
    assert done.returncode == 0, done.stderr
    assert "Pipeline 'two-steps' created: version 1" in done.stderr
    arn, *lines, yielded = done.stdout.splitlines()
    assert yielded == "First  outputs.scores  s3://scores/here"
    name, execution_id = arn.split("/")[1::2]
    assert f"Page: {server.endpoint_url}/_console/pipelines/{name}/executions/{execution_id}" in done.stderr
    told = [re.sub(r"^\d\d:\d\d:\d\d  two-steps \w+  ", "", line) for line in lines]
    # A step may be over before it is seen to run.
    ended = [re.sub(r" in [\d.]+ s", "", line) for line in told if not line.endswith(("Starting", "Executing"))]
    assert ended == ["First  Succeeded", "Second  Succeeded", "Succeeded"]
    again = run(server, "run", source, "--json")
    assert "unchanged" in again.stderr
    assert "Second  Succeeded" in again.stderr
    assert {step["name"] for step in json.loads(again.stdout)["steps"]} == {"First", "Second"}
    watched = run(server, "watch", arn)
    assert (watched.returncode, watched.stdout.splitlines()[0]) == (0, arn)


def test_a_run_deploys_as_the_operator_does(server: RunningServer, tmp_path: Path) -> None:
    source = write(tmp_path / "governed.json", job("First", "print(1)"), job("Second", "print(2)", "First"))
    options = ["--role-arn", ROLE, "--alias", "prod", "--tag", "team=forecasting", "--description", "For the test"]
    options += ["--version-description", "first", "--max-parallel-steps", "3"]
    done = run(server, "run", source, *options, "--display-name", "one run")
    assert done.returncode == 0, done.stderr
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
    client = session.client("sagemaker", endpoint_url=server.endpoint_url)
    pipeline = client.describe_pipeline(PipelineName="governed", PipelineVersionAlias="prod")
    assert pipeline["PipelineDescription"] == "For the test"
    assert pipeline["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 3}
    tags = client.list_tags(ResourceArn=pipeline["PipelineArn"])["Tags"]
    assert tags == [{"Key": "team", "Value": "forecasting"}]
    (version,) = client.list_pipeline_versions(PipelineName="governed")["PipelineVersionSummaries"]
    assert version["PipelineVersionDescription"] == "first"
    arn = done.stdout.splitlines()[0]
    execution = client.describe_pipeline_execution(PipelineExecutionArn=arn)
    assert execution["PipelineExecutionDisplayName"] == "one-run"
    assert "PipelineExecutionDescription" not in execution, "the description is the pipeline's"

    selected = run(
        server, "run", "governed", "--from-step", "Second", "--description", "Again", "--no-follow", "--json"
    )
    assert selected.returncode == 0, selected.stderr
    again = client.describe_pipeline_execution(PipelineExecutionArn=json.loads(selected.stdout)["execution_arn"])
    assert again["SelectiveExecutionConfig"] == {
        "SourcePipelineExecutionArn": arn,
        "SelectedSteps": [{"StepName": "Second"}],
    }
    assert again["PipelineExecutionDescription"] == "Again"


def test_a_failure_shows_the_reason_and_the_log_and_has_its_exit_code(server: RunningServer, tmp_path: Path) -> None:
    source = write(tmp_path / "failing.json", job("Break", "raise SystemExit('no rows were read')"))
    done = run(server, "run", source, "--role-arn", ROLE)
    assert done.returncode == 1
    assert "Break  Failed" in done.stdout
    assert "  | no rows were read" in done.stdout
    assert re.search(r"failing \w+  Failed in .*Step failure", done.stdout)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("run", "no-such-pipeline"), "no-such-pipeline"),
        (("run", "{source}"), "--role-arn is needed to create pipeline 'refused'"),
        (("run", "{source}", "--role-arn", ROLE, "-p", "Wrd=x", "-p", "Count=many"), "Did you mean 'Word'"),
        (("run", "{source}", "--role-arn", ROLE, "-p", "Word"), "NAME=VALUE"),
        (("run", "{source}", "--version", "1"), "name the pipeline instead"),
        (("watch", f"{ROLE}/nothing"), "nothing"),
    ],
)
def test_what_cannot_be_run_is_one_sentence(
    server: RunningServer, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    source = write(tmp_path / "refused.json", job("First", "print(1)"))
    done = run(server, *(argument.format(source=source) for argument in arguments))
    assert done.returncode == 2
    assert reason in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_leaves_the_execution_running(server: RunningServer, tmp_path: Path) -> None:
    source = write(tmp_path / "patient.json", job("Wait", "import time; time.sleep(60)"))
    # Where the tests run in the background of a script, they and their children ignore SIGINT.
    child = subprocess.Popen(
        [*CLI, "run", source, "--role-arn", ROLE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=server.environment(), preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert child.stdout is not None
    arn = child.stdout.readline().strip()
    assert "Wait" in child.stdout.readline()
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert f"sm-pipelines watch {arn}" in errors
    session = boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name=server.region)
    client = session.client("sagemaker", endpoint_url=server.endpoint_url)
    assert client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Executing"
    client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken="x" * 32)
    deadline = time.monotonic() + 60
    while client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] != "Stopped":
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_on_a_terminal_the_steps_live_in_a_table(server: RunningServer, tmp_path: Path) -> None:
    code = "import time; print('half way', flush=True); time.sleep(2)"
    source = write(tmp_path / "lively.json", job("Slow", code), job("Break", "raise SystemExit('broken')", "Slow"))
    exit_code, written = on_terminal([*CLI, "run", source, "--role-arn", ROLE], server.environment())
    assert exit_code == 1
    # While it runs, the step's last log line stands beside it.
    assert re.search(r"● Slow +Processing +[\d.]+ s +half way", plain(written))
    last = plain(written)[plain(written).rindex("✗ lively") :]
    assert re.search(r"✓ Slow +Processing", last)
    assert re.search(r"✗ Break +Processing", last)
    assert "│ broken" in last


@pytest.mark.parametrize("is_terminal", [True, False])
def test_local_exec_shows_what_its_command_starts(tmp_path: Path, is_terminal: bool) -> None:
    source = write(tmp_path / "inner.json", job("Only", "import time; time.sleep(1)"))
    script = tmp_path / "start.py"
    script.write_text(
        "import boto3, sys, time\n"
        "client = boto3.client('sagemaker')\n"
        f"client.create_pipeline(PipelineName='inner', PipelineDefinition=open({source!r}).read(), RoleArn={ROLE!r},"
        " ClientRequestToken='x' * 32)\n"
        "arn = client.start_pipeline_execution(PipelineName='inner')['PipelineExecutionArn']\n"
        "print('started, terminal:', sys.stdout.isatty())\n"
        "while client.describe_pipeline_execution(PipelineExecutionArn=arn)"
        "['PipelineExecutionStatus'] == 'Executing':\n"
        "    time.sleep(0.1)\n"
        "sys.exit(7)\n"
    )
    command = [*CLI, "local", "exec", "--ephemeral", "--progress", "--", sys.executable, str(script)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    if is_terminal:
        exit_code, written = on_terminal(command, environment)
        assert re.search(r"✓ Only +Processing", plain(written))
    else:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
        exit_code, written = done.returncode, done.stdout + done.stderr
        assert "Only  Succeeded in" in done.stderr
    assert exit_code == 7
    assert f"started, terminal: {is_terminal}" in plain(written)
