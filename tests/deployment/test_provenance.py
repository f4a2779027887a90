"""What a version says of where it comes from, read from real repositories without Git."""

from __future__ import annotations

import os
import subprocess
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.deployment.provenance import Provenance, read_git_revision, read_provenance

if TYPE_CHECKING:
    from pathlib import Path


def git(folder: Path, *arguments: str) -> str:
    """Run Git, which no user's settings reach."""
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}
    people = {f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env={**settings, **people}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository_of_dags(tmp_path: Path) -> Path:
    """A repository with one commit, on the branch `release/1`."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "dag.py").write_text("")
    git(folder, "init", "-q")
    git(folder, "checkout", "-q", "-b", "release/1")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def test_a_branch_is_read_loose_and_packed(repository_of_dags: Path) -> None:
    commit = git(repository_of_dags, "rev-parse", "HEAD")
    script = repository_of_dags / "pipelines" / "train.py"
    assert read_git_revision(script) == f"git {commit} (release/1)"
    git(repository_of_dags, "pack-refs", "--all")
    assert not (repository_of_dags / ".git/refs/heads/release/1").exists()
    assert read_git_revision(script) == f"git {commit} (release/1)"


def test_a_worktree_and_a_bare_commit_are_read(repository_of_dags: Path, tmp_path: Path) -> None:
    commit = git(repository_of_dags, "rev-parse", "HEAD")
    git(repository_of_dags, "worktree", "add", "-q", "-b", "other", str(tmp_path / "other"))
    assert read_git_revision(tmp_path / "other" / "dag.py") == f"git {commit} (other)"
    git(repository_of_dags, "checkout", "-q", "--detach")
    assert read_git_revision(repository_of_dags / "dag.py") == f"git {commit}"


def test_a_file_outside_of_a_repository_has_the_bundles_version(tmp_path: Path) -> None:
    assert read_git_revision(tmp_path / "dag.py") is None
    ti = SimpleNamespace(dag_id="d", run_id="manual__1", task_id="deploy", map_index=-1)
    assert read_provenance({"ti": ti}, code=tmp_path / "dag.py").revision is None
    ti.bundle_instance = SimpleNamespace(name="dags", version="1a2b")
    found = read_provenance({"ti": ti}, code=tmp_path / "dag.py")
    assert found.text == "Deployed by Airflow: DAG d, run manual__1, task deploy; bundle dags version 1a2b"
    assert found.version_name == "d-deploy-manual-1"


def test_a_mapped_task_names_its_index() -> None:
    found = Provenance("d", "r", "deploy", map_index=2)
    assert found.text.endswith("task deploy[2]")
    assert found.version_name == "d-deploy-2-r"
