"""Which files are the user's, and what they are called wherever the project lies."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest

from airflow_sm_pipelines.compiler import sdk_side
from airflow_sm_pipelines.compiler.sdk_side.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    script = tmp_path / "repository" / "pipelines" / "train" / "pipeline.py"
    script.parent.mkdir(parents=True)
    (tmp_path / "repository" / "pyproject.toml").touch()
    return Project(script, root=None, scratch=tmp_path / "scratch")


def test_paths_are_named_from_the_scripts_folder(project: Project, tmp_path: Path):
    root = tmp_path / "repository"
    assert project.name_of(str(root / "pipelines" / "train" / "code" / "run.py")) == "code/run.py"
    assert project.name_of(str(root / "library" / "shared.py")) == "../../library/shared.py"
    assert project.name_of("code/run.py") == "code/run.py"
    assert project.name_of("/somewhere/else/run.py") == "run.py"
    assert project.name_of(str(tmp_path / "scratch" / "tmpd15c0001" / "run.py")) == "tmp"


def test_what_lies_in_the_project_is_the_users_and_installed_packages_are_not(project: Project, tmp_path: Path):
    root = tmp_path / "repository"
    assert project.holds(str(root / "library" / "shared.py"))
    assert not project.holds(str(root / ".venv" / "lib" / "python3.11" / "site-packages" / "boto3" / "session.py"))
    assert not project.holds("/somewhere/else/run.py")
    assert not project.holds(str(Path(sysconfig.get_paths()["stdlib"]) / "json" / "__init__.py"))


def test_the_compiler_is_not_the_users_even_in_its_own_repository(tmp_path: Path):
    package = Path(str(sdk_side.__file__)).parent
    inside = Project(package.parent.parent.parent / "dags" / "pipeline.py", root=None, scratch=tmp_path)
    assert not inside.holds(str(package / "stamps.py"))


def test_texts_lose_the_folders_of_this_machine(project: Project, tmp_path: Path):
    folder = tmp_path / "repository" / "pipelines" / "train"
    text = f'{{"source_dir": "{folder}/src", "made": "{tmp_path}/scratch/tmpd15c0001"}}'
    assert project.without_places(text) == '{"source_dir": "src", "made": "/tmp/tmpd15c0001"}'
