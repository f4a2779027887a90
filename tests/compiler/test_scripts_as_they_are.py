"""Scripts that make their pipeline at the top level, and names that a script does not have."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import ScriptFailedError, ScriptFunctionError

if TYPE_CHECKING:
    from .conftest import Compiler

pytestmark = pytest.mark.processes

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


ENDS = {
    "at the top level": "pipeline = Pipeline('p')\n{end}",
    "in its main block": "def main():\n    pipeline = Pipeline('p')\n{inner}\nif __name__ == '__main__':\n    main()\n",
    "in its main block, with an exit": (
        "import sys\ndef main():\n    pipeline = Pipeline('p')\n{inner}    return 0\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    ),
    "in a function that returns nothing": "def build():\n    pipeline = Pipeline('p')\n{inner}",
}
END = """pipeline.upsert(ROLE, description='by hand', tags=[{'Key': 'team', 'Value': 'risk'}])
execution = pipeline.start()
execution.wait()
print(execution.describe()['PipelineExecutionStatus'], execution.list_steps())
print(execution.list_steps()[0]['StepName'])
"""


@pytest.mark.parametrize("kind", ENDS)
def test_a_script_that_starts_its_pipeline_is_built_and_starts_nothing(
    compile_stub: Compiler, write_script: Write, kind: str
):
    inner = "".join(f"    {line}\n" for line in END.splitlines())
    text = f"{IMPORT}ROLE = 'arn:aws:iam::123456789012:role/Sage'\n{ENDS[kind].format(end=END, inner=inner)}"
    script = write_script(text).rpartition(":")[0]
    compiled = compile_stub(f"{script}:build" if "function" in kind else script)
    assert compiled.name == "p"
    assert compiled.not_sent == ("sagemaker:CreatePipeline p", "sagemaker:StartPipelineExecution p")
    assert (compiled.description, compiled.tags) == ("by hand", ({"Key": "team", "Value": "risk"},))
    assert "Succeeded []" in compile_stub.log
    assert "IndexError" in compile_stub.log
    assert "It stands after start()" in compile_stub.log


def test_what_fails_before_the_start_fails_the_build(compile_stub: Compiler, write_script: Write):
    script = write_script(f"{IMPORT}pipeline = Pipeline('p')\npipeline.upsert('r' * 20)\n[][0]\n").rpartition(":")[0]
    with pytest.raises(ScriptFailedError, match="IndexError"):
        compile_stub(script)


def test_the_execution_role_is_the_pipelines(compile_stub: Compiler, write_script: Write):
    text = f"{IMPORT}from sagemaker.session import get_execution_role\n"
    reference = write_script(f"{text}def get_pipeline():\n    return Pipeline(get_execution_role().split('/')[1])\n")
    assert compile_stub(reference).name == "SageMakerExecution"
    with pytest.raises(ScriptFunctionError, match=r"asks for its execution role.*role_arn="):
        compile_stub(reference, role_arn=None)


def test_the_project_templates_tags_are_the_pipelines(compile_stub: Compiler, write_script: Write):
    reference = write_script(
        f"{IMPORT}def get_pipeline(region, sagemaker_project_arn=None):\n    return Pipeline('p')\n"
        "def get_pipeline_custom_tags(new_tags, region, sagemaker_project_arn=None):\n"
        "    return [*new_tags, {'Key': 'project', 'Value': f'{region} {sagemaker_project_arn}'}]\n"
    )
    config = {"sagemaker_project_arn": "arn:x"}
    assert compile_stub(reference, config=config).tags == ({"Key": "project", "Value": "us-east-1 arn:x"},)
    assert compile_stub(reference).tags == ()
    assert "needs sagemaker_project_arn in `config`" in compile_stub.log


def test_what_packages_print_is_told_on_failure_or_where_it_is_asked_for(compile_stub: Compiler, write_script: Write):
    text = f"{IMPORT}import boto3\nboto3.set_stream_logger('')\ndef get_pipeline(fails=False):\n    print('mine')\n"
    reference = write_script(f"{text}    boto3.client('s3')\n    assert not fails\n    return Pipeline('p')\n")
    compile_stub(reference)
    assert "mine" in compile_stub.lines
    assert "botocore" not in compile_stub.log
    chatter: list[str] = []
    compile_stub(reference, cache=False, chatter=chatter.append)
    assert "botocore" in "\n".join(chatter)
    with pytest.raises(ScriptFailedError):
        compile_stub(reference, config={"fails": True})
    assert "botocore" in compile_stub.log
    assert "a package]" not in compile_stub.log
