"""What the caller is told when a pipeline script does not give a pipeline."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import (
    CompileTimeoutError,
    EndpointUnreachableError,
    ScriptEnvironmentError,
    ScriptFailedError,
    ScriptMetadataError,
)

if TYPE_CHECKING:
    from .conftest import Compiler

Write = Callable[[str], str]


def test_an_exception_is_told_with_the_users_frames_only(compile_stub: Compiler, write_script: Write):
    reference = write_script("import names\n\ndef get_pipeline():\n    return names.lookup('train')\n")
    Path(reference.rpartition(":")[0]).with_name("names.py").write_text(
        "import json\n\ndef lookup(name):\n    return json.loads(name)\n"
    )
    with pytest.raises(ScriptFailedError) as caught:
        compile_stub(reference)
    message = str(caught.value)
    assert "JSONDecodeError: Expecting value" in message
    assert 'train.py", line 4, in get_pipeline' in message
    assert 'names.py", line 4, in lookup' in message
    assert "raised in" in message
    assert "decoder.py" in message
    assert "worker.py" not in message


def test_a_syntax_error_is_told_with_its_line(compile_stub: Compiler, write_script: Write):
    with pytest.raises(ScriptFailedError, match=r'train\.py", line 2[\s\S]*SyntaxError'):
        compile_stub(write_script("def get_pipeline():\n    return (\n"))


def test_a_script_that_installs_packages_is_told_where_to_name_them(compile_stub: Compiler, write_script: Write):
    body = """
import subprocess
import sys


def get_pipeline():
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "./nowhere"])
"""
    with pytest.raises(ScriptFailedError, match=r"installs \./nowhere with pip, which failed.*`dependencies`"):
        compile_stub(write_script(body))


def test_a_missing_package_is_told_with_where_to_name_it(compile_stub: Compiler, write_script: Write):
    with pytest.raises(ScriptFailedError, match=r"No module named 'lightgbm'.*`dependencies`"):
        compile_stub(write_script("import lightgbm\n\ndef get_pipeline(): ...\n"))


def test_a_package_that_another_one_does_not_declare_is_told_with_who_imports_it(
    compile_stub: Compiler, write_script: Write
):
    said = "No module named 'a_package_that_nobody_named', which sagemaker of the script's environment imports"
    with pytest.raises(ScriptFailedError, match=said):
        compile_stub(write_script("import sagemaker.undeclared\n\ndef get_pipeline(): ...\n"))


def test_a_script_for_another_generation_of_the_sdk_is_told_what_to_pin(compile_stub: Compiler, write_script: Write):
    body = "from sagemaker.mlops.workflow.pipeline import Pipeline\n\ndef get_pipeline(): ...\n"
    with pytest.raises(
        ScriptFailedError, match=r'written for SDK v3.*has sagemaker 2\.999.*"sagemaker-mlops>=1\.27,<2"'
    ):
        compile_stub(write_script(body))


@pytest.mark.parametrize(
    ("result", "said"),
    [("None", "returned nothing"), ("'diabetes'", "returned a str"), ("[1]", "returned a list")],
)
def test_what_is_no_pipeline_is_refused(compile_stub: Compiler, write_script: Write, result: str, said: str):
    with pytest.raises(ScriptFailedError, match=said):
        compile_stub(write_script(f"def get_pipeline():\n    return {result}\n"))


def test_sys_exit_in_a_script_is_a_fault_of_the_script(compile_stub: Compiler, write_script: Write):
    with pytest.raises(ScriptFailedError, match=r"sys\.exit\(3\).*--script-args '--name value'"):
        compile_stub(write_script("import sys\ndef get_pipeline():\n    sys.exit(3)\n"))


def test_a_process_that_ends_itself_is_told_with_its_last_lines(compile_stub: Compiler, write_script: Write):
    script = "import os\ndef get_pipeline():\n    print('going down', flush=True)\n    os._exit(9)\n"
    with pytest.raises(ScriptFailedError, match=r"exit code 9[\s\S]*going down"):
        compile_stub(write_script(script))


def test_a_killed_process_is_told_with_the_signal(compile_stub: Compiler, write_script: Write):
    script = "import os, signal\ndef get_pipeline():\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    with pytest.raises(ScriptFailedError, match="killed by SIGKILL"):
        compile_stub(write_script(script))


@pytest.mark.slow
def test_a_script_that_never_ends_is_ended_with_its_children(
    compile_stub: Compiler, write_script: Write, tmp_path: Path
):
    pid_file = tmp_path / "grandchild"
    script = f"""
import signal, subprocess, sys, time
from pathlib import Path

def get_pipeline():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path({str(pid_file)!r}).write_text(str(child.pid))
    print("waiting for the data", flush=True)
    time.sleep(600)
"""
    started = time.monotonic()
    with pytest.raises(CompileTimeoutError, match=r"within 2 seconds[\s\S]*waiting for the data"):
        compile_stub(write_script(script), timeout_seconds=2)
    assert time.monotonic() - started < 30
    grandchild = int(pid_file.read_text())
    deadline = time.monotonic() + 10
    while _is_running(grandchild):
        assert time.monotonic() < deadline, "the grandchild outlived the compile"
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.processes
def test_an_endpoint_that_does_not_answer_is_named(compile_stub: Compiler, write_script: Write):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"
    script = "def get_pipeline(session):\n    session.boto_session.client('s3').list_buckets()\n"
    with pytest.raises(EndpointUnreachableError, match=endpoint) as caught:
        compile_stub(
            write_script(script), aws_environment=dict(compile_stub.aws_environment) | {"AWS_ENDPOINT_URL": endpoint}
        )
    assert caught.value.endpoint.startswith(endpoint)
    assert "train.py" in str(caught.value)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("method", "operation"),
    [
        ("create_transform_job", "CreateTransformJob"),
        ("create_processing_job", "CreateProcessingJob"),
        ("create_endpoint", "CreateEndpoint"),
    ],
)
def test_a_script_that_starts_work_while_building_is_refused(
    compile_stub: Compiler, write_script: Write, method: str, operation: str
):
    script = f"def get_pipeline(session):\n    session.boto_session.client('sagemaker').{method}()\n"
    with pytest.raises(ScriptFailedError, match=rf"sagemaker:{operation}.*PipelineSession"):
        compile_stub(write_script(script))


def test_a_missing_interpreter_is_named(compile_stub: Compiler, write_script: Write):
    with pytest.raises(ScriptEnvironmentError, match="no Python '/opt/nowhere/python'"):
        compile_stub(write_script("def get_pipeline(): ...\n"), interpreter="/opt/nowhere/python")


def test_a_program_that_is_no_python_is_refused(compile_stub: Compiler, write_script: Write):
    with pytest.raises(ScriptEnvironmentError, match="does not run as Python"):
        compile_stub(write_script("def get_pipeline(): ...\n"), interpreter="/bin/false")


def test_an_interpreter_without_the_sdk_is_told_how_to_get_it(compile_stub: Compiler, write_script: Write):
    script = '# /// script\n# [tool.sm-pipelines]\n# interpreter = "current"\n# ///\ndef get_pipeline(): ...\n'
    with pytest.raises(ScriptEnvironmentError, match=r"has no SageMaker SDK.*-m pip install") as caught:
        compile_stub(write_script(script), interpreter=None)
    assert sys.executable in str(caught.value)


def test_a_script_that_says_nothing_of_its_sdk_is_shown_what_to_say(compile_stub: Compiler, write_script: Write):
    with pytest.raises(ScriptMetadataError, match="# /// script\n# dependencies"):
        compile_stub(write_script("def get_pipeline(): ...\n"), interpreter=None)


@pytest.mark.parametrize(
    ("file", "is_named"), [("sagemaker==2.232.0\nboto3\n", True), ("sagemaker-core\n# sagemaker\n", False)]
)
def test_a_requirements_file_of_the_project_that_names_the_sdk_is_pointed_to(
    compile_stub: Compiler, write_script: Write, file: str, is_named: bool
):
    script = write_script("def get_pipeline(): ...\n")
    found = Path(script).parent / "requirements-dev.txt"
    found.write_text(file)
    with pytest.raises(ScriptMetadataError) as caught:
        compile_stub(script, interpreter=None)
    assert (f"--requirements '{found}'" in str(caught.value)) is is_named


def test_requirements_that_cannot_be_resolved_come_with_uvs_reason(compile_stub: Compiler, write_script: Write):
    script = '# /// script\n# dependencies = ["sagemaker>=2,<1"]\n# ///\ndef get_pipeline(): ...\n'
    with pytest.raises(
        ScriptEnvironmentError, match=r"uv could not make.*sagemaker>=2,<1[\s\S]*(incompatible|unsatisfiable)"
    ):
        compile_stub(write_script(script), interpreter=None)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("ValueError('no image')", r"cannot be written into the definition\. ValueError: no image"),
        ("{'Path': [1, object()]}", r"cannot be written as JSON: Arguments\.Value\.Path\[1\] is a object"),
    ],
    ids=["an error of the SDK", "no JSON"],
)
def test_an_error_while_a_step_is_written_names_the_step_and_the_users_line(
    compile_stub: Compiler, write_script: Write, value: str, said: str
):
    imports = "from sagemaker.workflow.pipeline import Pipeline\nfrom sagemaker.workflow.steps import Step\n"
    body = (
        f"def get_pipeline():\n    bad = Step('Check', {value})\n    return Pipeline('p', steps=[Step('Good'), bad])\n"
    )
    with pytest.raises(ScriptFailedError, match=rf"Step 'Check' \(train\.py:4\) {said}") as caught:
        compile_stub(write_script(imports + body))
    assert 'train.py", line 4' in str(caught.value)
    assert "bad = Step('Check'" in str(caught.value)


def test_credentials_that_are_missed_when_a_step_is_written_come_with_what_to_do(
    compile_stub: Compiler, write_script: Write
):
    imports = "from sagemaker.workflow.pipeline import Pipeline\nfrom sagemaker.workflow.steps import Step\n"
    error = "type('NoCredentialsError', (Exception,), {})()"
    body = f"def get_pipeline():\n    return Pipeline('p', steps=[Step('Check', {error})])\n"
    with pytest.raises(ScriptFailedError, match=r"found no AWS credentials.*'sm-pipelines local exec --'") as caught:
        compile_stub(write_script(imports + body))
    assert 'train.py", line 4' in str(caught.value)
