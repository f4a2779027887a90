"""What the README and the pages promise: their links lead somewhere, and their Python is Python."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

import pytest

import airflow_sm_pipelines as package

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))

HARD_TO_READ = {
    *("docs/engine.md", "docs/local.md", "docs/reliability.md"),
}
"""Pages with long sentences. This list may only shrink."""


@by_name
def test_every_link_leads_to_a_file_of_the_repository(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [t for t in targets if not t.startswith(("http:", "https:")) and not (page.parent / t).exists()]
    assert not missing


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


@by_name
def test_every_link_to_a_heading_leads_to_one(page: Path) -> None:
    found = re.findall(r"\]\(([^)#\s:]*\.md)?#([^)\s]+)\)", page.read_text())
    assert not [
        f"{file}#{name}" for file, name in found if name not in anchors_of(page.parent / file if file else page)
    ]


@by_name
def test_every_page_is_in_the_site(page: Path) -> None:
    if page.parent == ROOT or page == DOCS / "index.md":
        return
    name = page.relative_to(DOCS).with_suffix("").as_posix()
    trees = [
        (one.parent / line).resolve().relative_to(DOCS).as_posix()
        for one in PAGES
        for tree in re.findall(r"```{toctree}\n(.*?)```", one.read_text(), re.DOTALL)
        for line in tree.split()
        if not line.startswith(":")
    ]
    assert trees.count(name) == 1


def sentences_of(page: Path) -> list[str]:
    """The sentences of a page's prose: no code, no tables, no headings."""
    text = re.sub(r"```.*?```|<!--.*?-->", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "code", text).replace("**", "")
    text = "\n".join(line for line in text.splitlines() if not re.match(r"\s*(\||#|!)", line))
    parts = re.split(r"\n\s*\n|\n(?=\s*(?:[-*:] |\d+\. ))", text)
    return [one for part in parts for one in re.split(r"(?<=[.?!])\s+", " ".join(part.split())) if one]


def count_words(sentence: str) -> int:
    return len(re.findall(r"[\w'-]+", sentence))


@by_name
def test_sentences_are_short(page: Path) -> None:
    """None over thirty words, and of ten or more the middle one has at most fifteen."""
    sentences = sorted(sentences_of(page), key=count_words)
    long = [one for one in sentences if count_words(one) > 30]
    if len(sentences) >= 10:
        long += [one for one in sentences[len(sentences) // 2 :][:1] if count_words(one) > 15]
    assert bool(long) is (str(page.relative_to(ROOT)) in HARD_TO_READ), long


def test_each_public_name_is_in_the_reference() -> None:
    text = "".join(page.read_text() for page in sorted((DOCS / "reference").glob("*.md")))
    shown = set(re.findall(r"\b[A-Za-z_]+\b", text)) | {"COST_PARAMETERS"}  # a value, on the page about costs
    assert not set(package.__all__) - shown


def test_each_environment_variable_is_in_the_reference() -> None:
    """Those that the package sets for its own processes are no settings."""
    names = ("REHEARSAL", "FUNCTION_SECONDS", "FUNCTION_ARN", "FUNCTION_LAYERS", "CALLER_PYTHON", "MAKE_BUCKETS")
    own = {f"SM_PIPELINES_{name}" for name in names}
    source = "".join(path.read_text() for path in sorted((ROOT / "airflow_sm_pipelines").rglob("*.py")))
    used = set(re.findall(r"SM_PIPELINES_[A-Z_]+\b", source)) - own
    assert used == set(re.findall(r"SM_PIPELINES_[A-Z_]+", (DOCS / "reference" / "settings.md").read_text()))


@by_name
def test_every_piece_of_python_can_be_parsed(page: Path) -> None:
    for code in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL):
        ast.parse(textwrap.dedent(code))


def test_the_first_dag_is_a_dag(tmp_path: Path) -> None:
    files = dict(
        re.findall(r"cat > (\S+) <<'END'\n(.*?)\nEND\n", (ROOT / "docs" / "first-dag.md").read_text(), re.DOTALL)
    )
    for name, code in files.items():
        ast.parse(code, name)
    found: dict[str, object] = {"__file__": str(tmp_path / "train_model.py")}
    exec(compile(files["dags/train_model.py"], "first-dag.md", "exec"), found)  # noqa: S102 - the page's own example
    assert found["train"].upstream_task_ids == {"deploy"}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name", [name for name in package.__all__ if name.endswith(("Operator", "Sensor", "EventTrigger"))]
)
def test_each_operator_and_sensor_has_an_example_that_runs_and_a_page(name: str) -> None:
    examples = {path.stem for path in (ROOT / "dags").glob("*.py") if f"{name}(" in path.read_text()}
    tests = "".join(path.read_text() for path in sorted((ROOT / "tests").glob("*/test_*.py")))
    assert [example for example in examples if re.search(rf"[\"'/]{example}[\"'/]", tests)]
    assert [page for page in PAGES if name in page.read_text()]
