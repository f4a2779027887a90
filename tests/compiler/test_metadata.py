"""PEP 723 metadata of pipeline scripts."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_sm_pipelines.compiler.metadata import ScriptMetadata, parse_metadata
from airflow_sm_pipelines.exceptions import ScriptMetadataError

PATH = Path("train.py")


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
