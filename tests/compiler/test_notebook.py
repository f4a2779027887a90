"""Notebooks as pipeline scripts: their cells, what is left out of them, what they write and install."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.compiler.notebook import parse_notebook
from airflow_sm_pipelines.exceptions import ScriptFailedError, ScriptNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Compiler

IMPORT = "from sagemaker.workflow.pipeline import Pipeline"
IN_QUOTES = "text = '''\n%matplotlib inline\n!ls\n'''"


def write(folder: Path, *cells: str, tags: dict[int, str] | None = None) -> Path:
    """Write a notebook with these code cells."""
    made: list[dict[str, Any]] = [{"cell_type": "markdown", "source": ["# Title"], "metadata": {}}]
    for index, text in enumerate(cells):
        metadata = {"tags": [(tags or {})[index]]} if index in (tags or {}) else {}
        made.append({"cell_type": "code", "source": text.splitlines(keepends=True), "metadata": metadata})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "nb.ipynb"
    path.write_text(json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


@pytest.mark.parametrize(
    ("text", "python", "skipped"),
    [
        ("%matplotlib inline\nx = 1", "pass\nx = 1", ()),
        ("!aws s3 ls\nx = 1", "pass\nx = 1", ("!aws s3 ls",)),
        ("if True:\n    !aws s3 cp a \\\n      b\n    x = 1", "if True:\n    pass\n\n    x = 1", ("!aws s3 cp a b",)),
        ("%time x = f()", "x = f()", ()),
        ("%%time\nx = 1", "\nx = 1", ()),
        ("Pipeline?", "pass", ()),
        ("%%bash\nls", "", ("%%bash",)),
        ("pip install pandas", "pass", ()),
        (IN_QUOTES, IN_QUOTES, ()),
        ("x = (5\n  % 3)", "x = (5\n  % 3)", ()),
        ("%env REGION=eu-west-1", "__import__('os').environ['REGION'] = 'eu-west-1'", ()),
    ],
)
def test_lines_that_are_not_python_are_left_out(tmp_path: Path, text: str, python: str, skipped: tuple[str, ...]):
    path = write(tmp_path, text)
    (cell,) = parse_notebook(path.read_text(), path=path).cells
    ast.parse(cell.source)
    assert (cell.source, cell.skipped) == (python, skipped)


def test_pip_lines_are_the_requirements(tmp_path: Path):
    path = write(
        tmp_path, "!pip install -U sagemaker", "%%writefile needs.txt\npandas\n", "%pip install -r needs.txt", IMPORT
    )
    assert parse_notebook(path.read_text(), path=path).requirements == ("sagemaker>=2.257,<3", "pandas")
    path = write(tmp_path, "%%bash\n# first\npython -m pip install 'pandas<3'\npip install sagemaker", IMPORT)
    notebook = parse_notebook(path.read_text(), path=path)
    assert notebook.requirements == ("pandas<3", "sagemaker>=2.257,<3")
    path = write(tmp_path, IMPORT)
    assert parse_notebook(path.read_text(), path=path).requirements == ()


def test_cells_below_the_pipeline_are_not_needed(tmp_path: Path):
    cells = (IMPORT, "pipeline = Pipeline('p')", "pipeline.steps.append('a')", "pipeline.upsert()", "pipeline.delete()")
    notebook = parse_notebook((path := write(tmp_path, *cells)).read_text(), path=path)
    assert len(notebook.cells_for("pipeline")) == len(notebook.cells_for(None)) == 3
    cells = (IMPORT, "def get_pipeline():\n    return Pipeline(NAME)", "x = 1", "NAME = 'p'", "1 / 0")
    notebook = parse_notebook((path := write(tmp_path, *cells)).read_text(), path=path)
    assert len(notebook.cells_for("get_pipeline")) == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no Jupyter notebook of format 4"),
        ("{", "no Jupyter notebook of format 4"),
        ('{"cells": [], "metadata": {"language_info": {"name": "R"}}}', "a notebook in R"),
    ],
)
def test_what_is_no_python_notebook_is_refused(tmp_path: Path, text: str, said: str):
    with pytest.raises(ScriptNotFoundError, match=said):
        parse_notebook(text, path=tmp_path / "nb.ipynb")


@pytest.mark.parametrize("name", [":pipeline", ":get_pipeline", ""])
def test_a_notebook_is_built_and_nothing_of_it_reaches_the_users_folder(
    compile_stub: Compiler, tmp_path: Path, name: str
):
    made = "def get_pipeline():\n    return pipeline" if name == ":get_pipeline" else "x = 1"
    path = write(
        tmp_path / "notebooks",
        f"{IMPORT}\nfrom IPython.display import display, Image\n%load_ext autoreload\n!mkdir -p code/deep",
        "%%writefile code/name.py\nNAME = 'written'",
        "%%writefile -a code/name.py\nNAME += '-twice'",
        "import sys\nsys.path.insert(0, 'code')\nfrom name import NAME\nopen('code/deep/data.txt', 'w').write(NAME)",
        "display(Image('x.png'))\nbranch = !git rev-parse HEAD",
        f"pipeline = Pipeline(NAME + open('own.txt').read())\n{made}",
        "pipeline.upsert(role_arn='x' * 20)\nexecution = pipeline.start()\nexecution.wait()\n1 / 0",
    )
    (path.parent / "own.txt").write_text("-own")
    before = sorted(path.parent.rglob("*"))
    compiled = compile_stub(f"{path}{name}")
    assert compiled.name == "written-twice-own"
    assert compiled.not_sent == ()
    assert "Not run: cell 5: !git rev-parse HEAD" in compile_stub.log
    assert sorted(path.parent.rglob("*")) == before
    assert compile_stub(f"{path}{name}").from_cache


def test_an_error_names_the_notebook_and_the_cell(compile_stub: Compiler, tmp_path: Path):
    path = write(tmp_path / "notebooks", IMPORT, "x = 1\npipeline = Pipeline(missing)")
    with pytest.raises(ScriptFailedError, match=rf'File "{path}, cell 2", line 2[\s\S]*Pipeline\(missing\)'):
        compile_stub(f"{path}:pipeline")


def test_the_value_of_a_line_that_is_not_run_cannot_be_used(compile_stub: Compiler, tmp_path: Path):
    path = write(tmp_path / "notebooks", IMPORT, "name = !git rev-parse HEAD", "pipeline = Pipeline(name[0])")
    with pytest.raises(ScriptFailedError, match="uses what '!git rev-parse HEAD' gives"):
        compile_stub(f"{path}:pipeline")


def test_a_notebook_finds_what_is_at_its_projects_root(compile_stub: Compiler, tmp_path: Path):
    root = tmp_path / "project"
    path = write(root / "notebooks" / "train", f"{IMPORT}\nfrom shared.names import NAME", "pipeline = Pipeline(NAME)")
    (root / ".git").mkdir()
    (root / "shared").mkdir()
    (root / "shared" / "names.py").write_text("NAME = open('../../shared/names.txt').read()\n")
    (root / "shared" / "names.txt").write_text("shared")
    assert compile_stub(f"{path}:pipeline").name == "shared"
    assert f"built with the project's root, {root}" in compile_stub.log


def test_a_tagged_cell_is_left_out(compile_stub: Compiler, tmp_path: Path):
    path = write(tmp_path / "notebooks", IMPORT, "1 / 0", "pipeline = Pipeline('p')", tags={1: "skip-execution"})
    assert compile_stub(f"{path}:pipeline").name == "p"


def test_a_cell_that_writes_outside_of_the_folder_is_refused(compile_stub: Compiler, tmp_path: Path):
    path = write(tmp_path / "notebooks", IMPORT, "%%writefile ../x.py\nX = 1", "pipeline = Pipeline('p')")
    with pytest.raises(ScriptFailedError, match=r"Cell 2 writes \.\./x\.py, which is not below the notebook's folder"):
        compile_stub(f"{path}:pipeline")
    assert not (tmp_path / "x.py").exists()
