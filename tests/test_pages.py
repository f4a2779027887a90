"""What the README and the pages promise: their links lead somewhere, their Python is Python, their commands exist."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMAND = re.compile(r"^sm-pipelines ((?:local )?[a-z]+)", re.MULTILINE)
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@by_name
def test_every_link_leads_to_a_file_of_the_repository(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in targets if not t.startswith(("http:", "https:")) and not (page.parent / t).exists()]
    assert not missing


@by_name
def test_every_piece_of_python_can_be_parsed(page: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        ast.parse(textwrap.dedent(code))


def test_the_readmes_dag_is_a_dag(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found: dict[str, object] = {"__file__": str(tmp_path / "train_model.py")}
    exec(compile(code, "README.md", "exec"), found)  # noqa: S102 - the page's own example
    assert found["train"].upstream_task_ids == {"deploy"}  # type: ignore[attr-defined]


def test_every_command_of_the_pages_is_one_of_sm_pipelines() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"^sm-pipelines ((?:local )?[a-z]+)", page.read_text(), re.M)
    }
    assert len(named) >= 5
    for name in named:
        command = [sys.executable, "-m", "airflow_sm_pipelines.cli", *name.split(), "--help"]
        assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0, name
