"""Scripts that make their pipeline at the top level, and names that a script does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import ScriptFunctionError

if TYPE_CHECKING:
    from .conftest import Compiler

Write = Callable[[str], str]

IMPORT = "from sagemaker.workflow.pipeline import Pipeline\n"
TOP_LEVEL = """
import boto3
from sagemaker.workflow.pipeline import Pipeline

pipeline = Pipeline("top-level", steps=["a"])
client = boto3.client("sagemaker")
client.create_pipeline(PipelineName="top-level", ClientRequestToken="x" * 32, RoleArn="arn:aws:iam::1:role/Role12345")
started = client.start_pipeline_execution(PipelineName="top-level", ClientRequestToken="x" * 32)
"""


@pytest.mark.parametrize("named", [":pipeline", ""], ids=["by name", "by the script alone"])
def test_a_pipeline_made_at_the_top_level_is_built_and_neither_made_nor_started(
    compile_stub: Compiler, write_script: Write, named: str
):
    script = write_script(TOP_LEVEL).rpartition(":")[0]
    compiled = compile_stub(f"{script}{named}")
    assert compiled.name == "top-level"
    assert compiled.not_sent == ("sagemaker:CreatePipeline top-level", "sagemaker:StartPipelineExecution top-level")
    assert compile_stub(f"{script}{named}").from_cache


def test_a_script_alone_means_its_get_pipeline(compile_stub: Compiler, write_script: Write):
    text = "from sagemaker.workflow.pipeline import Pipeline\n\ndef get_pipeline():\n    return Pipeline('made')\n"
    script = write_script(f"{text}\nother = Pipeline('other')\n").rpartition(":")[0]
    assert compile_stub(script).name == "made"


def test_two_pipelines_have_to_be_told_apart(compile_stub: Compiler, write_script: Write):
    text = "from sagemaker.workflow.pipeline import Pipeline\none, two = Pipeline('one'), Pipeline('two')\n"
    script = write_script(text).rpartition(":")[0]
    with pytest.raises(ScriptFunctionError, match=r"has 2 pipelines: one, two\. Name what is meant"):
        compile_stub(script)
    with pytest.raises(
        ScriptFunctionError, match="has neither a pipeline at its top level nor a function get_pipeline"
    ):
        compile_stub(write_script("ONE = 1\n").rpartition(":")[0])


def test_a_missing_name_is_told_before_anything_runs(compile_stub: Compiler, write_script: Write):
    reference = write_script("import nothing_of_the_kind\n\ndef get_pipelines(): ...\n")
    with pytest.raises(
        ScriptFunctionError, match=r"has no such function: 'get_pipeline'. Did you mean 'get_pipelines'\?"
    ):
        compile_stub(reference, interpreter="/opt/nowhere/python")


@pytest.mark.parametrize(
    "text",
    [
        f"{IMPORT}if True:\n    def get_pipeline():\n        return Pipeline('p')\n",
        "from neighbour import build as get_pipeline\n",
        "from neighbour import *\n",
        "import neighbour\nglobals()['get_pipeline'] = neighbour.build\n",
        "import neighbour\nget_pipeline = neighbour.build\n",
    ],
    ids=["under a condition", "imported", "imported with all", "put there", "assigned"],
)
def test_a_name_that_comes_otherwise_is_found(compile_stub: Compiler, write_script: Write, text: str, tmp_path):
    reference = write_script(text)
    neighbour = f"{IMPORT}\ndef build():\n    return Pipeline('p')\n\nget_pipeline = build\n"
    (tmp_path / "scripts" / "neighbour.py").write_text(neighbour)
    assert compile_stub(reference).name == "p"
