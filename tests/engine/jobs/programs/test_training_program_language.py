"""The programs that run in the place of an image's keep to the language of the oldest Python that images have here."""

from __future__ import annotations

import ast
import re

import pytest

from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY
from airflow_sm_pipelines.engine.jobs.local_images import OLDEST_PYTHON

OWN_PYTHON = {"bias_analyzer.py", "data_quality_analyzer.py", "model_quality_analyzer.py", "analysis.py"}
"""These replace programs of images that nobody puts code into, and run on the Python of the engine."""
NEWER = re.compile(
    r"remove(?:prefix|suffix)\(|shlex\.join|zip\([^)]*strict=|import pairwise|is_relative_to|missing_ok|create_server"
    r"|\|= \{"
)
PROGRAMS = sorted(
    path for path in PROGRAMS_DIRECTORY.rglob("*.py") if path.name not in (*OWN_PYTHON, "notebook_program.py")
)


@pytest.mark.parametrize("path", [*PROGRAMS, PROGRAMS_DIRECTORY / "bin" / "nginx"], ids=lambda path: path.name)
def test_a_program_runs_on_the_oldest_python(path) -> None:  # type: ignore[no-untyped-def]
    source = path.read_text()
    tree = ast.parse(source, feature_version=OLDEST_PYTHON)
    assert not NEWER.search(source), NEWER.search(source)
    futures = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert "__future__" in futures or "->" not in source
