"""References to pipeline scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sm_pipelines.compiler import ScriptReference, parse_reference
from airflow_sm_pipelines.compiler.script import read_script
from airflow_sm_pipelines.exceptions import CompileError, ScriptNotFoundError


def test_a_reference_names_a_script_and_a_function():
    assert parse_reference("pipelines/train.py:get_pipeline") == ScriptReference(
        Path("pipelines/train.py"), "get_pipeline"
    )


@pytest.mark.parametrize(
    "text",
    ["train.py", "train:get_pipeline", "train.py:", "train.py:get-pipeline", ":get_pipeline", ""],
    ids=["no function", "no .py", "empty function", "no identifier", "no script", "nothing"],
)
def test_what_is_no_reference_is_refused_with_the_form_it_should_have(text: str):
    with pytest.raises(ScriptNotFoundError, match=r"pipelines/train.py:get_pipeline"):
        parse_reference(text)


def test_a_missing_script_is_named_with_the_one_that_was_meant(tmp_path: Path):
    (tmp_path / "pipeline.py").write_text("")
    with pytest.raises(ScriptNotFoundError, match=r"No such file.*Did you mean '.*/pipeline\.py'"):
        read_script(ScriptReference(tmp_path / "pipelin.py", "f"))


def test_a_missing_directory_is_said(tmp_path: Path):
    with pytest.raises(ScriptNotFoundError, match="There is no directory"):
        read_script(ScriptReference(tmp_path / "nowhere" / "train.py", "f"))


def test_a_script_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "train.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScriptNotFoundError, match="not UTF-8"):
        read_script(ScriptReference(tmp_path / "train.py", "f"))


def test_every_fault_of_a_reference_can_be_caught_as_compile_error_and_as_value_error():
    assert issubclass(ScriptNotFoundError, CompileError)
    assert issubclass(ScriptNotFoundError, ValueError)
