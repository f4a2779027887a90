"""Where a ``local`` command runs: here, or in an environment of its own where an Airflow's constraints forbid it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from airflow_sm_pipelines.cli import local_environment
from airflow_sm_pipelines.cli.local_environment import (
    enter_local_environment,
    find_unmet,
    has_local_packages,
    local_requirements,
)
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.local_endpoint import child_environment

ARGUMENTS = argparse.Namespace(argv=["local", "serve", "--port=0"])


def test_the_environment_of_these_tests_has_the_endpoint_s_packages() -> None:
    assert has_local_packages()
    enter_local_environment(ARGUMENTS)  # comes back


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ("pytest>=8", []),
        ("no-such-package>=3", ["no-such-package>=3"]),
        ("moto[s3]>=5", []),
        # An extra counts as much as its package: without it, moto is there and does not start.
        ("moto[awslambda]>=5", []),
        ("airflow-sm-pipelines[local]", []),
    ],
)
def test_what_is_lacking_is_named_with_its_version(requirement: str, expected: list[str]) -> None:
    assert find_unmet([Requirement(requirement)]) == expected


def test_what_is_too_old_is_named_with_what_there_is() -> None:
    (found,) = find_unmet([Requirement("werkzeug>=1000")])
    assert found.startswith("werkzeug>=1000 (has ")


def test_a_requirement_of_an_extra_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    real = local_environment.requires
    lines = ["plain>=1", "docker>=1000; extra == 's3'", "other; extra == 'ec2'"]
    monkeypatch.setattr(local_environment, "requires", lambda name: lines if name == "moto" else real(name))
    (found,) = find_unmet([Requirement("moto[s3]>=5")])
    assert found.startswith("docker>=1000 (has ")


def test_the_endpoint_s_environment_is_that_of_the_extra_and_has_no_airflow() -> None:
    names = {one.name for one in local_requirements()}
    assert {"boto3", "rich", "moto", "werkzeug", "uv"} <= names
    assert not [name for name in names if "airflow" in name]
    assert "python_version" not in " ".join(map(str, local_requirements())), "markers are settled for this Python"


def test_a_constrained_environment_is_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    calls: list[Any] = []
    asked: dict[str, Any] = {}

    def ensure(requirements: list[str], *, env: dict[str, str]) -> Path:
        asked.update(requirements=requirements, env=env)
        return tmp_path / "python"

    monkeypatch.setattr(local_environment, "find_unmet", lambda _: ["moto>=5", "werkzeug>=3 (has 2.2.3)"])
    monkeypatch.setattr(local_environment, "find_environment", lambda *_, **__: None)
    monkeypatch.setattr(local_environment, "ensure_environment", ensure)
    monkeypatch.setattr(os, "execve", lambda *arguments: calls.append(arguments))
    monkeypatch.setenv("UV_CONSTRAINT", "/airflow/constraints.txt")
    enter_local_environment(ARGUMENTS)

    assert "UV_CONSTRAINT" not in asked["env"], "Airflow's constraints do not reach the endpoint's environment"
    assert any(line.startswith("moto") for line in asked["requirements"])
    ((python, command, env),) = calls
    assert (python, command[0], command[1]) == (tmp_path / "python", str(tmp_path / "python"), "-I")
    assert command[3:] == ARGUMENTS.argv
    assert env["UV_CONSTRAINT"] == "/airflow/constraints.txt", "what the user runs is still constrained"
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "of its own, as this one lacks moto>=5, werkzeug>=3 (has 2.2.3); making it takes a minute" in said
    # What the command starts next knows its own Python.
    assert env["SM_PIPELINES_CALLER_PYTHON"] == sys.executable
    assert "SM_PIPELINES_CALLER_PYTHON" not in child_environment(env, "http://127.0.0.1:1", "us-east-1", secret="s")


def test_without_an_index_a_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(local_environment, "find_unmet", lambda _: ["moto>=5"])
    for name, value in {"SM_PIPELINES_CACHE_DIR": str(tmp_path / "ours"), "UV_CACHE_DIR": str(tmp_path / "uv")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_OFFLINE", "1")
    with pytest.raises(LocalEndpointError, match=r"lacks moto>=5, and uv could not make.*UV_DEFAULT_INDEX=URL") as told:
        enter_local_environment(argparse.Namespace(argv=[], quiet=True))
    assert "airflow-sm-pipelines[local]" in str(told.value)


def test_the_launcher_brings_the_package_and_nothing_beside_it() -> None:
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    launcher = Path(local_environment.__file__).with_name("local_launcher.py")
    command = [str(base), "-I", str(launcher), "local", "serve", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: sm-pipelines local serve" in done.stdout
