"""What passes between a pipeline script and its surroundings: credentials in, lines out, and nothing to real AWS."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import boto3
import pytest

if TYPE_CHECKING:
    from .conftest import Compiler

pytestmark = pytest.mark.processes

Write = Callable[[str], str]


def public_host(service: str, region: str = "us-east-1") -> str:
    """The address of the real service, as botocore knows it."""
    client = boto3.client(service, region_name=region, aws_access_key_id="k", aws_secret_access_key="s")
    return str(client.meta.endpoint_url).removeprefix("https://")


def test_what_a_script_prints_goes_to_the_log_and_spoils_nothing(compile_stub: Compiler, write_script: Write):
    script = """
import logging, os, sys
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline():
    print('{"ok": false}')
    print("to stderr", file=sys.stderr)
    os.write(1, b"raw bytes \\xff\\n")
    os.system("echo from a child")
    return Pipeline("chatty")
"""
    assert compile_stub(write_script(script)).name == "chatty"
    for line in ('{"ok": false}', "to stderr", "from a child", "raw bytes \ufffd"):
        assert line in compile_stub.lines


def test_lines_come_while_the_script_runs(compile_stub: Compiler, write_script: Write, tmp_path: Any):
    flag = tmp_path / "flag"
    script = f"""
import time
from pathlib import Path
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline():
    print("first")
    deadline = time.monotonic() + 20
    while not Path({str(flag)!r}).exists():
        assert time.monotonic() < deadline, "nobody read the first line"
        time.sleep(0.01)
    return Pipeline("live")
"""

    def answer(line: str) -> None:
        if line == "first":
            flag.touch()

    assert compile_stub(write_script(script), log=answer).name == "live"


def test_the_child_sees_its_own_credentials_and_nothing_of_the_parents(
    compile_stub: Compiler, write_script: Write, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-parent")
    monkeypatch.setenv("AIRFLOW_CONN_DB", "of-the-parent")
    monkeypatch.setenv("MY_SETTING", "kept")
    script = """
import os
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline():
    return Pipeline("env", steps=[{n: v for n, v in os.environ.items() if n.startswith(("AWS_", "AIRFLOW_", "MY_"))}])
"""
    compiled = compile_stub(write_script(script))
    seen = json.loads(compiled.definition_text)["Steps"][0]
    assert seen["AWS_ACCESS_KEY_ID"] == "test-access"
    assert seen["MY_SETTING"] == "kept"
    assert "of-the-parent" not in seen.values()


def test_a_script_may_import_its_neighbours_and_read_files_beside_it(
    compile_stub: Compiler, write_script: Write, tmp_path: Any
):
    reference = write_script(
        "import json, settings\nfrom sagemaker.workflow.pipeline import Pipeline\n"
        "def get_pipeline():\n    return Pipeline(settings.NAME, steps=json.load(open('steps.json')))\n"
    )
    (tmp_path / "scripts" / "settings.py").write_text("NAME = 'neighbour'\n")
    (tmp_path / "scripts" / "steps.json").write_text('["a"]')
    compiled = compile_stub(reference)
    assert compiled.name == "neighbour"
    assert json.loads(compiled.definition_text)["Steps"] == ["a"]
    assert not list((tmp_path / "scripts").rglob("__pycache__"))


def test_a_client_made_for_a_public_aws_address_is_kept_at_the_local_endpoint(
    compile_stub: Compiler, write_script: Write
):
    script = f"""
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline(session):
    sts = session.boto_session.client("sts", endpoint_url="https://{public_host("sts")}")
    return Pipeline("sts", steps=[sts.meta.endpoint_url, sts.get_caller_identity()["Account"]])
"""
    steps = json.loads(compile_stub(write_script(script)).definition_text)["Steps"]
    assert steps == [compile_stub.aws_environment["AWS_ENDPOINT_URL"], "123456789012"]


@pytest.mark.parametrize(
    ("host", "reason"),
    [
        (public_host("sts"), "AWS is http://127.0.0.1"),
        (public_host("sts", "cn-north-1"), "AWS is http://127.0.0.1"),
        ("169.254.169.254", "AWS is http://127.0.0.1"),
        (f"sm-pysdk-t-us-east-1.{public_host('s3')}", "no telemetry"),
    ],
    ids=["AWS", "AWS in China", "instance metadata", "telemetry"],
)
def test_a_connection_to_real_aws_is_refused_beside_a_local_endpoint(
    compile_stub: Compiler, write_script: Write, host: str, reason: str
):
    script = f"""
import socket
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline():
    try:
        socket.create_connection(({host!r}, 443), timeout=5)
    except ConnectionRefusedError as error:
        return Pipeline("refused", steps=[str(error)])
"""
    steps = json.loads(compile_stub(write_script(script)).definition_text)["Steps"]
    assert f"{host} is not called: {reason}" in steps[0]
    assert f"Refused a connection to {host}" in compile_stub.log


def test_a_thread_the_script_leaves_behind_does_not_hold_up_the_compile(compile_stub: Compiler, write_script: Write):
    script = """
import threading, time
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline():
    threading.Thread(target=time.sleep, args=(600,)).start()
    return Pipeline("threads")
"""
    assert compile_stub(write_script(script), timeout_seconds=30).name == "threads"


def test_what_a_deployment_takes_beside_the_definition_may_be_set_on_the_pipeline(
    compile_stub: Compiler, write_script: Write
):
    script = """
from types import SimpleNamespace
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline():
    pipeline = Pipeline("extras")
    pipeline.description = "Weekly"
    pipeline.tags = [{"Key": "team", "Value": "ml"}]
    pipeline.parallelism_config = SimpleNamespace(max_parallel_execution_steps=3)
    return pipeline
"""
    compiled = compile_stub(write_script(script))
    assert compiled.description == "Weekly"
    assert compiled.tags == ({"Key": "team", "Value": "ml"},)
    assert compiled.parallelism == {"MaxParallelExecutionSteps": 3}
