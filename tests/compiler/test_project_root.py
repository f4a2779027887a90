"""A script that imports its project's own modules, from a folder that its metadata names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import ScriptFailedError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Compiler

pytestmark = pytest.mark.processes

SCRIPT = """
# /// script
# [tool.sm-pipelines]
# project-root = "../.."
# ///
from sagemaker.workflow.pipeline import Pipeline

from shared.names import make_name


def get_pipeline():
    return Pipeline(make_name(), steps=[])
"""
SHARED = """
import os


def make_name():
    return "model-" + os.environ.get("TEAM", "nobody")
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project: `shared/names.py`, and `pipelines/train/pipeline.py` that imports it."""
    root = tmp_path / "project"
    (root / "shared").mkdir(parents=True)
    (root / "shared" / "names.py").write_text(SHARED)
    (root / "pipelines" / "train").mkdir(parents=True)
    (root / "pipelines" / "train" / "pipeline.py").write_text(SCRIPT)
    return root


def test_imports_start_at_the_project_root_and_its_files_and_variables_count(
    compile_stub: Compiler, project: Path, monkeypatch: pytest.MonkeyPatch
):
    reference = f"{project}/pipelines/train/pipeline.py:get_pipeline"
    assert compile_stub(reference).name == "model-nobody"
    assert compile_stub(reference).from_cache
    monkeypatch.setitem(os.environ, "TEAM", "fraud")
    assert compile_stub(reference).name == "model-fraud"
    (project / "shared" / "names.py").write_text("def make_name():\n    return 'other'\n")
    assert compile_stub(reference).name == "other"


def test_without_the_setting_the_import_fails_as_it_would(compile_stub: Compiler, project: Path):
    script = project / "pipelines" / "train" / "pipeline.py"
    script.write_text(SCRIPT.replace('# project-root = "../.."\n', ""))
    with pytest.raises(ScriptFailedError, match="No module named 'shared'"):
        compile_stub(f"{script}:get_pipeline")
