"""A lock file holds exact packages with hashes, and nothing else is installed where it is named."""

from __future__ import annotations

import subprocess
import zipfile
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.environment_lock import LOCK_VARIABLE, EnvironmentLock
from airflow_sm_pipelines.environments import ensure_environment, environment_key
from airflow_sm_pipelines.exceptions import EnvironmentBuildError
from tests.cli.command_runs import run

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = '# /// script\n# dependencies = ["greeting"]\n# ///\ndef get_pipeline(session):\n    ...\n'


def add_wheel(folder: Path, version: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"greeting-{version}-py3-none-any.whl", "w") as archive:
        info = f"greeting-{version}.dist-info"
        archive.writestr("greeting.py", f"TEXT = {text!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: greeting\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Without an index: a folder of wheels, and a cache of its own."""
    add_wheel(tmp_path / "wheels", "1.0", "first")
    (tmp_path / "train.py").write_text(SCRIPT)
    own = {
        "UV_FIND_LINKS": str(tmp_path / "wheels"),
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "SM_PIPELINES_CACHE_DIR": str(tmp_path / "cache"),
    }
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    return own


def greeting(python: Path) -> str:
    command = [str(python), "-I", "-c", "import greeting; print(greeting.TEXT)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_locked_environment_stays_when_the_index_has_more_and_moves_when_it_is_locked_anew(
    tmp_path: Path, env: dict[str, str]
) -> None:
    path = tmp_path / "sm-pipelines.lock"
    assert run("lock", str(tmp_path / "train.py"), "-o", str(path)).returncode == 0
    text = path.read_text()
    assert 'requirements = ["greeting"]' in text
    assert "greeting==1.0 \\\n    --hash=sha256:" in text
    add_wheel(tmp_path / "wheels", "2.0", "second")
    locked = {**env, LOCK_VARIABLE: str(path)}
    first = ensure_environment(["greeting"], env=locked)
    assert greeting(first) == "first"
    assert greeting(ensure_environment(["greeting"], env=env)) == "second"
    assert run("lock", str(tmp_path / "train.py"), "-o", str(path)).returncode == 0
    second = ensure_environment(["greeting"], env=locked)
    assert (greeting(second), greeting(first)) == ("second", "first")
    assert environment_key(["greeting"], env=locked) != environment_key(["greeting"], env=env)


def test_a_package_of_other_bytes_is_refused(tmp_path: Path, env: dict[str, str]) -> None:
    path = tmp_path / "sm-pipelines.lock"
    run("lock", str(tmp_path / "train.py"), "-o", str(path))
    add_wheel(tmp_path / "wheels", "1.0", "changed by somebody")
    with pytest.raises(EnvironmentBuildError, match=r"(?is)hash mismatch"):
        ensure_environment(
            ["greeting"], env={**env, LOCK_VARIABLE: str(path), "UV_CACHE_DIR": str(tmp_path / "another machine's")}
        )


def test_what_is_not_in_the_file_is_refused_with_the_command_that_adds_it(tmp_path: Path, env: dict[str, str]) -> None:
    path = tmp_path / "sm-pipelines.lock"
    with pytest.raises(EnvironmentBuildError, match="cannot be read: No such file"):
        ensure_environment(["greeting"], env={**env, LOCK_VARIABLE: str(path)})
    path.write_text(EnvironmentLock(path).with_environment(["a"], ">=3.10", "a==1 --hash=sha256:00").render())
    with pytest.raises(
        EnvironmentBuildError, match=r"no environment for greeting\. Add it: `sm-pipelines lock SCRIPT`"
    ):
        ensure_environment(["greeting"], env={**env, LOCK_VARIABLE: str(path)})
    assert EnvironmentLock.read(path).find([" a "], ">=3.10").packages.strip() == "a==1 --hash=sha256:00"


@pytest.mark.parametrize("text", ["[", "environment = 1", "[[environment]]\npackages = 1", "environment = [1]"])
def test_another_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lock").write_text(text)
    with pytest.raises(EnvironmentBuildError, match="is not what `sm-pipelines lock` writes"):
        EnvironmentLock.read(tmp_path / "lock")


def test_images_are_locked_by_the_table_and_what_was_locked_stays(tmp_path: Path, env: dict[str, str]) -> None:
    table = tmp_path / "images.toml"
    table.write_text('[[image]]\nmatch = "mine:*"\nrequirements = ["greeting<2"]\n')
    path = tmp_path / "sm-pipelines.lock"
    run("lock", str(tmp_path / "train.py"), "-o", str(path))
    done = run("lock", "--image", "mine:1", "-o", str(path), env={"SM_PIPELINES_IMAGES": str(table)})
    assert done.stdout == f"{path}: 1 environment(s) chosen, 2 in all\n", done.stderr
    assert [one.requirements for one in EnvironmentLock.read(path).environments] == [("greeting",), ("greeting<2",)]
