"""What the README and the pages promise: their links lead somewhere, and their Python is Python."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

import airflow_sm_pipelines as package

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
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
    files = dict(re.findall(r"cat > (\S+) <<'END'\n(.*?)\nEND\n", (ROOT / "README.md").read_text(), re.DOTALL))
    for name, code in files.items():
        ast.parse(code, name)
    found: dict[str, object] = {"__file__": str(tmp_path / "train_model.py")}
    exec(compile(files["dags/train_model.py"], "README.md", "exec"), found)  # noqa: S102 - the page's own example
    assert found["train"].upstream_task_ids == {"deploy"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", [name for name in package.__all__ if name.endswith(("Operator", "Sensor", "EventTrigger"))]
)
def test_each_operator_and_sensor_has_an_example_that_runs_and_a_page(name: str) -> None:
    examples = {path.stem for path in (ROOT / "dags").glob("*.py") if f"{name}(" in path.read_text()}
    tests = "".join(path.read_text() for path in sorted((ROOT / "tests").glob("*/test_*.py")))
    assert [example for example in examples if re.search(rf"[\"'/]{example}[\"'/]", tests)]
    assert [page for page in PAGES if name in page.read_text()]
