"""The wheel and the sdist: what is in them, and that the wheel works beside Airflow; the images of the compose file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest
from uv import find_uv_bin

from airflow_sm_pipelines import __version__

UV = find_uv_bin()
EPOCH = "1700000000"
ROOT = Path(__file__).parent.parent
DOCKER = """#!/bin/sh
case "$4" in redis*) exit $REDIS ;; esac
echo sha256:$(printf %s "$4" | sha256sum | cut -d' ' -f1)
"""


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a fresh wheel and sdist."""
    out = tmp_path_factory.mktemp("dist")
    build(Path(__file__).parent.parent, out, {"SOURCE_DATE_EPOCH": EPOCH})
    return out


def build(root: Path, out: Path, variables: dict[str, str]) -> None:
    """As `make dist`."""
    subprocess.run(
        [UV, "build", "--quiet", "--no-build-isolation", "--python", sys.executable, "--out-dir", str(out), str(root)],
        env={**os.environ, **variables},
        check=True,
        timeout=120,
    )


@pytest.mark.processes
def test_another_checkout_at_another_time_makes_the_same_bytes(distributions: Path, tmp_path: Path) -> None:
    root, copy = Path(__file__).parent.parent, tmp_path / "checkout"
    left_out = shutil.ignore_patterns(".git", ".venv", ".local", ".*_cache", "dist", "__pycache__")
    shutil.copytree(root, copy, ignore=left_out, copy_function=shutil.copy)  # with other times
    for path in copy.rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)  # with another umask
    build(copy, tmp_path / "dist", {"SOURCE_DATE_EPOCH": EPOCH, "TZ": "Asia/Tokyo"})
    made = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (tmp_path / "dist").glob("airflow*")}
    assert made == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in distributions.glob("airflow*")}
    assert len(made) == 2


@pytest.mark.processes
def test_the_wheel_holds_the_package_and_nothing_else(distributions: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names} == {
        "airflow_sm_pipelines",
        f"airflow_sm_pipelines-{__version__}.dist-info",
    }
    assert "airflow_sm_pipelines/compiler/worker.py" in names
    assert "airflow_sm_pipelines/py.typed" in names
    for folder in ("airflow_sm_pipelines/server/console/templates", "airflow_sm_pipelines/airflow_page/static"):
        packed = {name.rpartition("/")[2] for name in names if name.startswith(f"{folder}/")}
        assert packed == {file.name for file in (Path(__file__).parent.parent / folder).iterdir()}
    assert "airflow_sm_pipelines/service_model/sagemaker.json.gz" in names


@pytest.mark.processes
def test_the_sdist_holds_what_the_tests_need(distributions: Path) -> None:
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "dags/train_diabetes.py", "tests/conftest.py"} <= names
    for folder in ("tests", "docs", "dags", "scripts", "requirements", ".github"):
        there = {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob("*") if path.is_file()}
        assert {name for name in there if "__pycache__" not in name} <= names
    assert not [name for name in names if name.startswith((".local", ".venv"))]


@pytest.mark.slow
def test_the_wheel_without_extras_works_beside_airflow(distributions: Path, tmp_path: Path) -> None:
    (wheel,) = distributions.glob("*.whl")
    python = tmp_path / "venv" / "bin" / "python"
    # The versions this suite runs on; `make lock` takes the newest of all of them.
    pins = [f"{name}=={version(name)}" for name in ("apache-airflow", "apache-airflow-providers-amazon", "boto3")]
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, str(tmp_path / "venv")], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", str(python), str(wheel), *pins]
    subprocess.run(install, check=True, timeout=600)
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow")}
    script = (
        "import json, sys; import airflow_sm_pipelines as p; "
        "bare = [m for m in ('airflow', 'boto3', 'moto') if m in sys.modules]; "
        "from airflow.providers_manager import ProvidersManager; "
        "print(json.dumps([bare, 'airflow-sm-pipelines' in ProvidersManager().providers, "
        "p.SageMakerRunPipelineOperator.__module__]))"
    )
    answer = subprocess.run([str(python), "-c", script], env=env, check=True, stdout=subprocess.PIPE, timeout=120)
    assert json.loads(answer.stdout.splitlines()[-1]) == [[], True, "airflow_sm_pipelines.operators.run"]
    console = subprocess.run(
        [str(python.with_name("sm-pipelines")), "--help"], env=env, check=True, stdout=subprocess.PIPE, timeout=60
    )
    assert b"validate" in console.stdout


def pin(folder: Path, redis: int = 0) -> subprocess.CompletedProcess[str]:
    docker = folder / "docker"
    docker.write_text(DOCKER.replace("exit $REDIS", "exit 1" if redis else ":"))
    docker.chmod(0o755)
    env = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    command = [sys.executable, str(ROOT / "scripts" / "pin_images.py"), str(folder)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)


def test_every_tag_gets_its_digest_once(tmp_path: Path) -> None:
    for name in ("docker-compose.yaml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    before = (tmp_path / "docker-compose.yaml").read_text()
    refused = pin(tmp_path, redis=1)
    assert refused.returncode == 1
    assert "The registry of redis:" in refused.stderr
    assert (tmp_path / "docker-compose.yaml").read_text() == before
    for _ in range(2):
        done = pin(tmp_path)
        assert done.returncode == 0, done.stderr
        text = (tmp_path / "docker-compose.yaml").read_text() + (tmp_path / "Dockerfile").read_text()
        assert text.count("@sha256:") == 3
        assert "image: airflow-sm-pipelines:local\n" in text


def test_tags_are_exact() -> None:
    lines = (ROOT / "docker-compose.yaml").read_text().splitlines() + (ROOT / "Dockerfile").read_text().splitlines()
    tags = [line.split(":")[-1] for line in lines if line.strip().startswith(("image:", "FROM "))]
    assert [tag for tag in tags if tag != "local" and tag.count(".") < 2 and not tag.startswith(("17.", "redis"))] == []
