"""How a script's function gets its arguments, and what it is told when it cannot be called."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.exceptions import ScriptFunctionError

from .conftest import ROLE, Compiler

if TYPE_CHECKING:
    from collections.abc import Callable

ECHO = """
from sagemaker.workflow.pipeline import Pipeline

def get_pipeline({signature}):
    seen = {{name: type(value).__name__ if "session" in name else value for name, value in locals().items()}}
    return Pipeline("echo", steps=[seen])
"""


@pytest.fixture
def received(compile_stub: Compiler, write_script: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """Compile a function with the given signature and give what it received."""

    def compile_and_read(signature: str, **changes: Any) -> dict[str, Any]:
        compiled = compile_stub(write_script(ECHO.format(signature=signature)), **changes)
        steps: list[dict[str, Any]] = json.loads(compiled.definition_text)["Steps"]
        return steps[0]

    return compile_and_read


@pytest.mark.parametrize("name", ["sagemaker_session", "pipeline_session", "session"])
def test_a_session_is_a_pipeline_session_under_any_of_its_names(received: Callable[..., Any], name: str):
    assert received(name) == {name: "PipelineSession"}


@pytest.mark.parametrize("name", ["role", "role_arn", "execution_role"])
def test_the_role_goes_by_any_of_its_names(received: Callable[..., Any], name: str):
    assert received(name) == {name: ROLE}


def test_the_shape_of_aws_templates_is_filled(received: Callable[..., Any]):
    seen = received(
        "region, sagemaker_project_arn=None, role=None, default_bucket=None, pipeline_name='Abalone'",
        pipeline_name="staging",
    )
    assert seen == {
        "region": "us-east-1",
        "sagemaker_project_arn": None,
        "role": ROLE,
        "default_bucket": None,
        "pipeline_name": "staging",
    }


def test_a_default_of_the_script_holds_where_nothing_is_given(received: Callable[..., Any]):
    assert received("pipeline_name='Abalone'") == {"pipeline_name": "Abalone"}


def test_a_required_bucket_is_the_sessions_default_one(received: Callable[..., Any]):
    assert received("default_bucket") == {"default_bucket": "sagemaker-us-east-1-123456789012"}


def test_a_given_bucket_reaches_argument_and_session(received: Callable[..., Any]):
    assert received("default_bucket", default_bucket="mine") == {"default_bucket": "mine"}


def test_config_fills_other_parameters_and_goes_first(received: Callable[..., Any]):
    config = {"depth": 3, "role": "arn:aws:iam::123456789012:role/Other"}
    assert received("role, depth, width=1", config=config) == {
        "role": "arn:aws:iam::123456789012:role/Other",
        "depth": 3,
        "width": 1,
    }


def test_further_config_goes_to_open_keywords_and_nothing_else_does(received: Callable[..., Any]):
    assert received("role, **rest", config={"a": 1, "b": [2]}) == {"role": ROLE, "rest": {"a": 1, "b": [2]}}


def test_positional_only_and_keyword_only_parameters_are_filled(received: Callable[..., Any]):
    assert received("role, /, *, region") == {"role": ROLE, "region": "us-east-1"}


def test_everything_wrong_with_the_arguments_is_said_at_once(received: Callable[..., Any]):
    with pytest.raises(ScriptFunctionError) as caught:
        received("region, dataset, max_depth=3", config={"max_dept": 4})
    message = str(caught.value)
    assert "get_pipeline(region, dataset, max_depth=3)" in message
    assert "no argument 'max_dept'" in message
    assert "Did you mean 'max_depth'?" in message
    assert "needs 'dataset': give config={'dataset': ...}" in message


def test_a_role_that_is_needed_and_not_given_is_asked_for_by_the_callers_name(received: Callable[..., Any]):
    with pytest.raises(ScriptFunctionError, match="needs 'execution_role': give role_arn"):
        received("execution_role", role_arn=None)


def test_a_config_without_json_form_is_refused_before_anything_runs(received: Callable[..., Any]):
    with pytest.raises(ScriptFunctionError, match="cannot be written as JSON"):
        received("model", config={"model": object()})


def test_a_missing_function_is_told_with_the_one_that_was_meant(
    compile_stub: Compiler, write_script: Callable[[str], str]
):
    reference = write_script("def get_pipeline(): ...\ndef _hidden(): ...\n").replace(":get_pipeline", ":get_pipline")
    with pytest.raises(ScriptFunctionError, match=r"no such function: 'get_pipline'. Did you mean 'get_pipeline'"):
        compile_stub(reference)


def test_a_name_that_is_no_function_is_refused(compile_stub: Compiler, write_script: Callable[[str], str]):
    with pytest.raises(ScriptFunctionError, match="is not a function: 'get_pipeline'"):
        compile_stub(write_script("get_pipeline = 3\n"))


BY_COMMAND_LINE = """
import argparse, os
from sagemaker.workflow.pipeline import Pipeline

def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--limit", type=float)
    given = parser.parse_args()
    Pipeline("echo", steps=[{**vars(given), "stage": os.environ.get("STAGE")}]).upsert(role_arn="r")

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("function", ["", ":main"])
def test_a_script_that_reads_its_command_line_gets_one_and_environment_variables(
    compile_stub: Compiler, write_script: Callable[[str], str], function: str
):
    script = write_script(BY_COMMAND_LINE).partition(":")[0] + function

    def build(limit: str, **options: Any) -> tuple[dict[str, Any], bool]:
        compiled = compile_stub(script, script_args=["--bucket", "b", "--limit", limit], **options)
        return json.loads(compiled.definition_text)["Steps"][0], compiled.from_cache

    assert build("0.5", script_env={"STAGE": "test"}) == ({"bucket": "b", "limit": 0.5, "stage": "test"}, False)
    assert build("0.5", script_env={"STAGE": "test"})[1] is True
    assert build("0.5") == ({"bucket": "b", "limit": 0.5, "stage": None}, False)
    assert build("0.7") == ({"bucket": "b", "limit": 0.7, "stage": None}, False)
