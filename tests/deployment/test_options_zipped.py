"""Files of a zipped DAG."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.deployment.options import resolve_path
from airflow_sm_pipelines.deployment.source import resolve_code_path
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A zipped DAG with `pipelines/train.py`."""
    monkeypatch.setenv("SM_PIPELINES_CACHE_DIR", str(tmp_path / "cache"))
    path = tmp_path / "dags" / "team.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("dag.py", "")
        made.writestr("pipelines/train.py", "one")
        made.writestr("../outside.py", "")
    return path


def test_a_file_of_an_archive_is_unpacked_once_for_each_content(archive: Path):
    found = resolve_path("pipelines/train.py", folder=str(archive))
    assert found.read_text() == "one"
    assert resolve_path("pipelines/train.py", folder=str(archive)) == found
    with zipfile.ZipFile(archive, "a") as made:
        made.writestr("more.py", "")
    assert resolve_path("pipelines/train.py", folder=str(archive)) != found


def test_a_script_of_a_zipped_dag_is_found_and_stays_in_the_cache(archive: Path, tmp_path: Path):
    # Airflow calls the DAG's file team.zip/dag.py.
    code = resolve_code_path("pipelines/train.py:get_pipeline", folder=str(archive))
    assert code is not None
    assert code.read_text() == "one"
    assert resolve_path("train.json", folder=str(tmp_path)) == tmp_path / "train.json"
    assert not list(tmp_path.glob("**/cache/*/outside.py"))


def test_a_damaged_archive_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SM_PIPELINES_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "team.zip").write_bytes(b"PK")
    with pytest.raises(DefinitionError, match=r"team\.zip cannot be unpacked"):
        resolve_path("train.py", folder=str(tmp_path / "team.zip"))
