"""The command as a user runs it: a process with its output and its exit code."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.cli.local_endpoint import default_state_dir
from airflow_sm_pipelines.environments import ensure_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

TESTS = Path(__file__).parent.parent
DATA = TESTS / "data" / "definitions"
TRAIN = DATA / "train_and_evaluate.json"
COMMAND = [sys.executable, "-m", "airflow_sm_pipelines.cli"]


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


# validate


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
        "standard input:3:17: error: Steps[0].Arguments.Containers: step 'A': expected an array, found the number 5.",
        (
            "standard input:3:27: warning: Steps[0].Arguments.Odd: step 'A': CreateModelInput has no member 'Odd' that "
            "this botocore knows. Check the spelling, or update boto3."
        ),
        "standard input: invalid (1 error, 1 warning)",
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
    assert "is a directory" in refused(run("validate", str(tmp_path)))
    assert "no.py:get_pipeline" in refused(run("diff", "no.py", "x.json"))
    assert "such as" not in refused(run("validate", "no.py:get_pipeline"))


# diff


def test_a_diff_reads_well_and_ends_well(tmp_path: Path) -> None:
    new = changed(tmp_path)
    result = run("diff", str(TRAIN), str(new))
    assert (result.returncode, result.stdout) == (0, "~ Parameters.MaxDepth.DefaultValue: 4 → 6\n")
    assert run("diff", "--exit-code", str(TRAIN), str(new)).returncode == 1
    same = run("diff", "--exit-code", str(TRAIN), "-", input=json.dumps(json.loads(TRAIN.read_text()), sort_keys=True))
    assert (same.returncode, same.stdout) == (0, "No changes.\n")
    as_json = run("diff", "--json", str(TRAIN), str(new))
    assert json.loads(as_json.stdout) == [
        {"kind": "changed", "path": "Parameters.MaxDepth.DefaultValue", "before": 4, "after": 6}
    ]


def test_an_invalid_definition_cannot_be_compared(tmp_path: Path) -> None:
    broken = tmp_path / "broken.json"
    broken.write_text('{"Steps": [{}]}')
    assert f"{broken}:1:12: Steps[0]: a step has no 'Name'" in refused(run("diff", str(TRAIN), str(broken)))


def test_a_reader_that_has_enough_is_no_error() -> None:
    script = f"{sys.executable} -m airflow_sm_pipelines.cli diff --json {TRAIN} {DATA / 'fan_out.json'} | head -n 1"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (result.stdout, result.stderr) == ("[\n", "")


# the command itself


def test_help_is_there_for_every_command() -> None:
    for command in ([], ["compile"], ["validate"], ["diff"], ["local"], ["local", "exec"], ["local", "serve"]):
        result = run(*command, "--help")
        assert result.returncode == 0
        assert result.stdout.startswith("usage: ")


def test_a_wrong_option_is_a_usage_error(tmp_path: Path) -> None:
    assert "is not a port" in refused(run("local", "serve", "--port", "70000"))
    assert "not allowed with" in refused(run("local", "serve", "--ephemeral", "--state-dir", str(tmp_path)))
    assert "required" in refused(run())


def test_asking_for_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom airflow_sm_pipelines.cli.entry_point import make_parser\nmake_parser().format_help()\n"
        "print([name for name in ('airflow', 'boto3', 'botocore', 'moto', 'sagemaker') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout == "[]\n"


# compile

SCRIPT = """
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(depth=1, label=""):
    print("building", depth)
    return Pipeline("example", steps=[{"Name": label, "Type": "Lambda", "Depth": depth}])

def get_five():
    return 5
"""


@pytest.fixture(scope="module")
def stub_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A Python of its own whose SDK is the compiler tests' stand-in, beside the real boto3."""
    python = ensure_environment([], cache_dir=tmp_path_factory.mktemp("stub"))
    packages = next(python.parent.parent.glob("lib/python*/site-packages"))
    shutil.copytree(TESTS / "compiler" / "stub_sdk" / "sagemaker", packages / "sagemaker")
    record = packages / "sagemaker-2.999.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: sagemaker\nVersion: 2.999\n")
    (packages / "boto3.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return str(python)


@pytest.mark.slow
def test_a_script_is_compiled_compared_and_checked_under_a_local_endpoint(tmp_path: Path, stub_python: str) -> None:
    # A folder of its own: whatever else changes beside a script makes it run again.
    script = tmp_path / "pipelines" / "train.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    config = tmp_path / "config.json"
    config.write_text('{"depth": 2, "label": "A"}')
    options = ["--interpreter", stub_python, "--config", str(config)]
    local = ["local", "exec", "--quiet", "--state-dir", str(tmp_path / "state"), "--", *COMMAND]
    cache = {"SM_PIPELINES_CACHE_DIR": str(tmp_path / "cache")}
    first = run(*local, "compile", f"{script}:get_pipeline", *options, "--set", "depth=3", env=cache)
    assert first.returncode == 0, first.stderr
    assert "building 3" in first.stderr
    assert json.loads(first.stdout)["Steps"] == [{"Name": "A", "Type": "Lambda", "Depth": 3}]
    output = tmp_path / "out.json"
    second = run(
        *local, "compile", f"{script}:get_pipeline", *options, "--set", "depth=3", "-o", str(output), env=cache
    )
    assert (second.returncode, second.stdout) == (0, "")
    assert second.stderr.endswith(f"{output}: pipeline 'example' (cached)\n")
    assert output.read_text() == first.stdout
    difference = run(*local, "diff", str(output), f"{script}:get_pipeline", *options, env=cache)
    assert difference.stdout == "~ Steps.A.Depth: 3 → 2\n"
    checked = run(*local, "validate", f"{script}:get_pipeline", *options, env=cache)
    assert checked.returncode == 1
    assert "the Lambda step 'A' has no 'FunctionArn'" in checked.stdout


def test_what_keeps_a_script_from_compiling_is_one_error(tmp_path: Path, stub_python: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    options = ["--interpreter", stub_python, "--region", "us-east-1"]
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    assert "get_pipelin" in refused(run("compile", f"{script}:get_pipelin", *options, env=keys))
    assert "get_five" in refused(run("compile", f"{script}:get_five", *options, env=keys))
    assert "no.py" in refused(run("compile", f"{tmp_path / 'no.py'}:get_pipeline", *options, env=keys))
    assert "NAME=VALUE" in refused(run("compile", f"{script}:get_pipeline", *options, "--set", "depth"))
    assert "is not JSON" in refused(run("compile", f"{script}:get_pipeline", *options, "--config", str(script)))
    assert "no AWS profile 'nobody'" in refused(run("compile", f"{script}:get_pipeline", "--profile", "nobody"))
    assert "No region is known" in refused(run("compile", f"{script}:get_pipeline"))


# local exec


def execute(*command: str, state: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run("local", "exec", "--state-dir", str(state), "--", *command, env=env)


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


# local serve


def test_an_endpoint_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with RunningCommand("local", "serve", "--state-dir", str(tmp_path), "--port", "0") as process:
        first = read_line(process)
        assert first.startswith("Local SageMaker endpoint: http://127.0.0.1:")
        exports = {}
        while not (line := read_line(process)).startswith("Stop"):
            if line.startswith("  export "):
                name, _, value = line.removeprefix("  export ").rstrip("\n").partition("=")
                exports[name] = value
        listing = subprocess.run(
            [
                sys.executable,
                "-c",
                "import boto3; print(boto3.client('sagemaker').list_pipelines()['PipelineSummaries'])",
            ],
            env={**os.environ, **exports},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert listing.stdout == "[]\n", listing.stderr
        in_use = refused(execute("true", state=tmp_path))
        assert f"in use by another local endpoint at {exports['AWS_ENDPOINT_URL']}" in in_use
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert execute("true", state=tmp_path).returncode == 0


def test_the_state_has_a_home_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert default_state_dir({}) == Path("/home/someone/.local/state/airflow-sm-pipelines/local")
    assert default_state_dir({"XDG_STATE_HOME": "/state"}) == Path("/state/airflow-sm-pipelines/local")
    assert default_state_dir({"XDG_STATE_HOME": "relative"}).is_relative_to("/home/someone")
    assert default_state_dir({"SM_PIPELINES_STATE_DIR": "here", "XDG_STATE_HOME": "/state"}) == Path("here")


class RunningCommand:
    """A running command that is ended with the block."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
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
