"""A script made of a notebook: what its pipeline follows from is there, what only a running notebook needs is not."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.cli import main
from airflow_sm_pipelines.compiler.notebook import parse_notebook
from airflow_sm_pipelines.compiler.notebook_script import NotebookScript, make_notebook_script
from airflow_sm_pipelines.compiler.script import parse_metadata
from airflow_sm_pipelines.exceptions import ScriptFunctionError

from .test_notebook import write

if TYPE_CHECKING:
    from pathlib import Path

CELLS = (
    "%pip install -U sagemaker pandas",
    "import sagemaker\nfrom sagemaker.workflow.pipeline import Pipeline",
    "from own import mine\nsession = sagemaker.Session(mine)\nbucket = session.default_bucket()\nprint(bucket)",
    "%%writefile code/prepare.py\nprint(1)",
    "rows = [1, 2]\nplot(rows)",
    "estimator = make(bucket)\nestimator.set_hyperparameters(depth=3)\nunused = make(2)",
    "# The first step.\nstep = ProcessingStep('Prepare', code='code/prepare.py', estimator=estimator)",
    "def make(bucket):\n    return helper(bucket)",
    "def helper(x):\n    return x",
    "pipeline = Pipeline(name='p', steps=[step])\npipeline.tags = [1]",
    "json.loads(pipeline.definition())\npipeline.upsert(role_arn='r')\nexecution = pipeline.start()",
)


def make(folder: Path, *cells: str, pipeline: str | None = None) -> NotebookScript:
    path = write(folder, *cells)
    return make_notebook_script(parse_notebook(path.read_text(), path=path), pipeline=pipeline)


def test_names_are_followed_back_from_the_pipeline(tmp_path: Path) -> None:
    made = make(tmp_path, *CELLS)
    names = {node.id for node in ast.walk(ast.parse(made.source)) if isinstance(node, ast.Name)}
    assert {"session", "bucket", "estimator", "step", "helper", "pipeline"} <= names
    assert not {"rows", "plot", "unused", "print", "execution"} & names
    assert "estimator.set_hyperparameters(depth=3)\n" in made.source
    assert "# The first step.\nstep = " in made.source
    assert made.source.endswith("pipeline.tags = [1]\n")
    assert made.files == {"code/prepare.py": "print(1)\n"}
    assert "code/prepare.py" in made.mentioned
    metadata = parse_metadata(made.source, path=tmp_path / "p.py")
    assert metadata is not None
    assert metadata.dependencies == ("sagemaker>=2.257,<3", "pandas")


def test_each_line_that_is_left_out_is_listed_with_its_cell(tmp_path: Path) -> None:
    dropped = make(tmp_path, *CELLS).dropped
    assert dropped == (
        "cell 3: print(bucket)",
        "cell 5: rows = [1, 2]",
        "cell 5: plot(rows)",
        "cell 6: unused = make(2)",
        "cell 11: the whole cell",
    )


def test_calls_of_the_pipeline_in_its_own_cell_are_left_out(tmp_path: Path) -> None:
    made = make(
        tmp_path, "pipeline = Pipeline('p')\npipeline.upsert(role)\npipeline.steps.append(step)\npipeline.start()"
    )
    assert made.dropped == ("cell 1: pipeline.upsert(role)", "cell 1: pipeline.start()")
    assert made.source.endswith("pipeline = Pipeline('p')\npipeline.steps.append(step)\n")


@pytest.mark.parametrize("file", ["/etc/x", "../x", "{folder}/x"])
def test_a_file_outside_the_folder_is_not_written_and_listed(tmp_path: Path, file: str) -> None:
    made = make(tmp_path, f"%%writefile {file}\nx", "pipeline = Pipeline('p')")
    assert made.files == {}
    assert f"the file {file}" in made.dropped[-1]


def test_what_makes_a_file_that_the_pipeline_reads_is_kept(tmp_path: Path) -> None:
    made = make(
        tmp_path,
        "frame = load()\nframe.to_csv('data/x.csv')\nother.to_csv('data/y.csv')",
        "step = Step(session.upload_data('data/x.csv'))\npipeline = Pipeline('p', steps=[step])",
    )
    assert "frame.to_csv('data/x.csv')" in made.source
    assert "data/y.csv" not in made.source


def test_what_only_a_shell_knew_is_to_be_filled_in(tmp_path: Path) -> None:
    made = make(tmp_path, "role = !aws iam get-role\npipeline = Pipeline('p', role=role)")
    assert 'role = ""  # the notebook asked a shell: !aws iam get-role' in made.source
    assert len(made.unknown) == 1


def test_several_pipelines_ask_for_a_name(tmp_path: Path) -> None:
    cells = ("one = Pipeline('a')", "two = Pipeline('b')")
    with pytest.raises(ScriptFunctionError, match="several pipelines: one, two"):
        make(tmp_path, *cells)
    assert make(tmp_path, *cells, pipeline="one").dropped == ("cell 2: the whole cell",)
    with pytest.raises(ScriptFunctionError, match="no Pipeline"):
        make(tmp_path, "x = 1")


def test_init_makes_a_project_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "notebooks", *CELLS)
    (path.parent / "code").mkdir()
    (path.parent / "code" / "prepare.py").write_text("old")
    (path.parent / "own.py").write_text("mine = 1")
    (path.parent / "other.csv").write_text("1")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "churn", "--from", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Left out, as the pipeline does not follow from it:\n  cell 3: print(bucket)\n" in said
    made = {one.relative_to(tmp_path).as_posix() for one in (tmp_path / "dags").rglob("*") if one.is_file()}
    assert made == {
        "dags/.airflowignore",
        "dags/churn.py",
        "dags/pipelines/churn/code/prepare.py",
        "dags/pipelines/churn/own.py",
        "dags/pipelines/churn/pipeline.py",
    }
    assert (tmp_path / "dags/pipelines/churn/code/prepare.py").read_text() == "print(1)\n"
    dag = (tmp_path / "dags/churn.py").read_text()
    assert 'pipeline="pipelines/churn/pipeline.py:pipeline"' in dag
    assert "outputs=" not in dag
    ast.parse(dag)
