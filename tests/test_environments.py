"""Python environments made by uv, named by what they hold."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from airflow_sm_pipelines.environments import (
    add_forgotten,
    default_cache_dir,
    ensure_environment,
    environment_key,
    find_python,
    is_python_accepted,
)
from airflow_sm_pipelines.exceptions import EnvironmentBuildError

HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def package(tmp_path: Path) -> str:
    """A requirement that needs no index: a package in a folder of wheels."""
    import zipfile

    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel = folder / "greeting-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("greeting.py", "TEXT = 'hello'\n\ndef main():\n    print(TEXT)\n")
        archive.writestr("greeting-1.0.dist-info/entry_points.txt", "[console_scripts]\ngreet = greeting:main\n")
        archive.writestr("greeting-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greeting\nVersion: 1.0\n")
        archive.writestr(
            "greeting-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("greeting-1.0.dist-info/RECORD", "")
    return f"greeting @ {wheel.as_uri()}"


def output_of(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_an_environment_holds_its_requirements_and_not_ours(tmp_path: Path, package: str):
    python = ensure_environment([package], cache_dir=tmp_path / "cache")
    assert output_of(python, "import greeting; print(greeting.TEXT)") == "hello"
    assert output_of(python, "import importlib.util; print(importlib.util.find_spec('pytest'))") == "None"
    assert output_of(python, "import sys; print(sys.version_info[:2])") == str(sys.version_info[:2])


@pytest.mark.parametrize(
    ("requirements", "added"),
    [
        (["sagemaker==2.232.0"], ["pytz"]),
        (["boto3", "SageMaker[local]>=2.200,<2.240"], ["pytz"]),
        (["sagemaker==2.2*", "numpy"], []),
        (["sagemaker==2.99.*"], ["pytz"]),
        (["sagemaker==2.232.0", "pytz==2024.1"], []),
        (["sagemaker>=2.257,<3"], []),
        (["sagemaker"], []),
        (["sagemaker==3.5.0"], []),
        (["sagemaker-mlops>=1.27,<2"], []),
        (["./wheels/sagemaker-2.99.0.whl"], []),
        ([], []),
    ],
)
def test_an_older_sdk_gets_what_it_imports_and_does_not_ask_for(requirements: list[str], added: list[str]):
    assert add_forgotten(requirements) == [*requirements, *added]


def test_an_environment_is_made_once(tmp_path: Path, package: str):
    lines: list[str] = []
    first = ensure_environment([package], cache_dir=tmp_path / "cache", log=lines.append)
    assert lines
    lines.clear()
    assert ensure_environment([package], cache_dir=tmp_path / "cache", log=lines.append) == first
    assert not lines


def test_two_callers_at_once_make_one_environment(tmp_path: Path, package: str):
    lines: list[str] = []
    made: list[Path] = []
    threads = [
        threading.Thread(
            target=lambda: made.append(ensure_environment([package], cache_dir=tmp_path / "cache", log=lines.append))
        )
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(made) == 3
    assert len(set(made)) == 1
    assert len([line for line in lines if line.startswith("Making")]) == 1


def test_an_interrupted_build_leaves_nothing_that_looks_complete(tmp_path: Path, package: str):
    home = tmp_path / "cache" / "environments"
    half = home / environment_key([package], env=os.environ)
    (half / "bin").mkdir(parents=True)
    (half / "bin" / "python").symlink_to(sys.executable)
    python = ensure_environment([package], cache_dir=tmp_path / "cache")
    assert output_of(python, "import greeting; print(greeting.TEXT)") == "hello"


def test_an_environment_whose_base_python_is_gone_is_made_anew(tmp_path: Path, package: str):
    python = ensure_environment([package], cache_dir=tmp_path / "cache")
    python.unlink()
    python.symlink_to("/nowhere/python")
    again = ensure_environment([package], cache_dir=tmp_path / "cache")
    assert output_of(again, "import greeting; print(greeting.TEXT)") == "hello"


def test_commands_of_an_environment_run_where_it_ended_up(tmp_path: Path, package: str):
    python = ensure_environment([package], cache_dir=tmp_path / "cache")
    greeted = subprocess.run([str(python.parent / "greet")], capture_output=True, text=True, check=True)
    assert greeted.stdout.strip() == "hello"


def test_requirements_that_cannot_be_met_are_told_in_uvs_words(tmp_path: Path, package: str):
    with pytest.raises(EnvironmentBuildError, match=r"greeting==2[\s\S]*(incompatible|unsatisfiable|conflict)"):
        ensure_environment([package, "greeting==2"], cache_dir=tmp_path / "cache")
    assert not [entry for entry in (tmp_path / "cache" / "environments").iterdir() if entry.suffix != ".lock"]


def test_a_python_that_nobody_has_is_told(tmp_path: Path):
    with pytest.raises(EnvironmentBuildError, match=r"no Python for 3\.99"):
        ensure_environment([], python="3.99", cache_dir=tmp_path / "cache")


def test_a_python_of_pyenvs_is_taken_where_uv_meets_none(tmp_path: Path):
    for version, name in (("3.98.9", "python3.98"), ("3.99.1", "python3.99"), ("3.99.0", "python3.99")):
        folder = tmp_path / "pyenv" / "versions" / version / "bin"
        folder.mkdir(parents=True)
        (folder / name).symlink_to(sys.executable)
    env = {**os.environ, "PYENV_ROOT": str(tmp_path / "pyenv"), "UV_PYTHON_DOWNLOADS": "never"}
    newest = tmp_path / "pyenv" / "versions" / "3.99.1" / "bin" / "python3.99"
    assert find_python(">=3.98,<4", env=env) == newest
    assert find_python("3.98", env=env) == tmp_path / "pyenv" / "versions" / "3.98.9" / "bin" / "python3.98"
    assert find_python(">=3.98.10,<3.99", env=env) is None
    made = ensure_environment([], python=">=3.99,<4", cache_dir=tmp_path / "cache", env=env)
    assert made.exists()


def test_a_build_without_time_left_is_ended_and_said(tmp_path: Path, package: str):
    with pytest.raises(EnvironmentBuildError, match="took too long and was stopped"):
        ensure_environment([package], cache_dir=tmp_path / "cache", timeout_seconds=0)


def test_a_cache_directory_that_cannot_be_made_is_told_with_what_to_do(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentBuildError, match="SM_PIPELINES_CACHE_DIR"):
        ensure_environment([], cache_dir=tmp_path / "file" / "cache")


@pytest.mark.parametrize("python", [None, HERE, f">={HERE}", ">=3.10", f"=={HERE}.*"])
def test_our_own_python_is_taken_where_it_fits(python: str | None):
    assert environment_key(["a"], python=python, env={}) == environment_key(["a"], env={})


@pytest.mark.parametrize(
    ("requirement", "is_accepted"),
    [
        (">=3.10", True),
        (">=3.10,<3.12", True),
        ("<3.11", False),
        ("==3.11.*", True),
        ("==3.11", False),
        ("==3.11.7", True),
        ("3.11", True),
        ("3.1", False),
        ("!=3.11.*", False),
        ("~=3.10", True),
        ("~=3.11.0", True),
        ("~=3.10.0", False),
        (">3.11.7", False),
        (">=3.11.7", True),
        ("<=3.11.7", True),
        ("/usr/bin/python3", False),
        (">=3.11rc1", False),
    ],
)
def test_a_requires_python_is_compared_with_a_version(requirement: str, is_accepted: bool):
    assert is_python_accepted(requirement, (3, 11, 7)) is is_accepted


def test_the_order_of_requirements_does_not_count_and_uvs_resolution_settings_do():
    assert environment_key(["a", "b"], env={}) == environment_key(["b", " a"], env={})
    assert environment_key(["a"], env={}) != environment_key(["a"], env={"UV_EXCLUDE_NEWER": "2026-01-01"})
    assert environment_key(["a"], env={}) == environment_key(["a"], env={"UV_CACHE_DIR": "/elsewhere"})


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"SM_PIPELINES_CACHE_DIR": "/a", "XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/a"),
        ({"XDG_CACHE_HOME": "/b", "HOME": "/c"}, "/b/airflow-sm-pipelines"),
        ({"HOME": "/c"}, "/c/.cache/airflow-sm-pipelines"),
    ],
    ids=["ours", "XDG", "home"],
)
def test_the_cache_is_where_the_user_wants_it(env: dict[str, str], expected: str):
    assert default_cache_dir(env) == Path(expected)
