"""``compile``: scripts, their options, and what keeps one from compiling."""

from __future__ import annotations

import json
import shutil
import sysconfig
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.environments import ensure_environment
from tests.cli.command_runs import COMMAND, TESTS, refused, run

if TYPE_CHECKING:
    from pathlib import Path

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


@pytest.mark.processes
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
