"""Pipeline scripts: references to them, and their inline metadata (PEP 723)."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sm_pipelines.compiler import ScriptReference, parse_reference
from airflow_sm_pipelines.compiler.script import ScriptMetadata, parse_metadata, read_script
from airflow_sm_pipelines.exceptions import CompileError, ScriptMetadataError, ScriptNotFoundError

PATH = Path("train.py")


def test_a_reference_names_a_script_and_a_function():
    assert parse_reference("pipelines/train.py:get_pipeline") == ScriptReference(
        Path("pipelines/train.py"), "get_pipeline"
    )


def test_a_reference_may_name_the_script_alone():
    assert parse_reference("pipelines/train.py") == ScriptReference(Path("pipelines/train.py"), None)
    assert str(parse_reference("pipelines/train.py")) == "pipelines/train.py"


@pytest.mark.parametrize(
    "text",
    ["train:get_pipeline", "train.py:", "train.py:get-pipeline", ":get_pipeline", ""],
    ids=["no .py", "empty function", "no identifier", "no script", "nothing"],
)
def test_what_is_no_reference_is_refused_with_the_form_it_should_have(text: str):
    with pytest.raises(ScriptNotFoundError, match=r"pipelines/train.py:get_pipeline"):
        parse_reference(text)


def test_a_missing_script_is_named_with_the_one_that_was_meant(tmp_path: Path):
    (tmp_path / "pipeline.py").write_text("")
    with pytest.raises(ScriptNotFoundError, match=r"No such file.*Did you mean '.*/pipeline\.py'"):
        read_script(tmp_path / "pipelin.py")


def test_a_missing_directory_is_said(tmp_path: Path):
    with pytest.raises(ScriptNotFoundError, match="There is no directory"):
        read_script(tmp_path / "nowhere" / "train.py")


def test_a_script_that_is_no_text_is_refused(tmp_path: Path):
    (tmp_path / "train.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ScriptNotFoundError, match="not UTF-8"):
        read_script(tmp_path / "train.py")


def test_every_fault_of_a_reference_can_be_caught_as_compile_error_and_as_value_error():
    assert issubclass(ScriptNotFoundError, CompileError)
    assert issubclass(ScriptNotFoundError, ValueError)


def parse(source: str) -> ScriptMetadata | None:
    return parse_metadata(source, path=PATH)


def test_requirements_and_python_stand_in_the_script():
    source = (
        '"""Docs."""\n# /// script\n# requires-python = ">=3.10"\n# dependencies = [\n#   "sagemaker>=2.257,<3",\n'
        "#   # a comment\n# ]\n# ///\nimport sagemaker\n"
    )
    assert parse(source) == ScriptMetadata(("sagemaker>=2.257,<3",), ">=3.10")


def test_an_empty_comment_line_may_stand_in_the_block():
    assert parse('# /// script\n#\n# dependencies = ["a"]\n# ///\n') == ScriptMetadata(("a",))


def test_a_script_may_ask_for_the_interpreter_that_runs_us():
    metadata = parse('# /// script\n# [tool.sm-pipelines]\n# interpreter = "current"\n# ///\n')
    assert metadata == ScriptMetadata((), uses_current_interpreter=True)


def test_a_script_without_metadata_has_none():
    assert parse("import sagemaker\n") is None


def test_a_block_of_another_kind_is_not_ours():
    assert parse('# /// other\n# dependencies = ["a"]\n# ///\n') is None


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ('# /// script\n# dependencies = ["a"]\nimport os\n', "does not end"),
        ('# /// script\n# dependencies = ["a"]\n# ///\n\n# /// script\n# x = 1\n# ///\n', r"train\.py:5: a second"),
        ('\n# /// script\n# dependencies = ["a"\n# ///\n', "begins in line 2 is not TOML"),
        ('# /// script\n# dependencies = "sagemaker"\n# ///\n', "not a list of strings"),
        ("# /// script\n# requires-python = 3.11\n# ///\n", "`requires-python`"),
        ('# /// script\n# [tool.sm-pipelines]\n# interpreter = "/usr/bin/python"\n# ///\n', "'current' or absent"),
        (
            '# /// script\n# [tool.sm-pipelines]\n# project-root = "../none"\n# ///\n',
            r"such as '\.\./\.\.', and there is no ",
        ),
    ],
    ids=["no end", "two blocks", "no TOML", "a string", "a float", "an interpreter's path", "no folder"],
)
def test_metadata_that_cannot_be_read_is_refused_with_its_place(source: str, said: str):
    with pytest.raises(ScriptMetadataError, match=said):
        parse(source)
