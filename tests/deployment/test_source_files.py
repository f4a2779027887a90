"""What is deployed may stand in a saved answer, a template or a plan."""

from __future__ import annotations

import datetime
import json
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.deployment.options import DeployOptions
from airflow_sm_pipelines.deployment.source import load_definition, load_definition_file, load_document, split_file
from airflow_sm_pipelines.exceptions import DefinitionError
from tests.airflow_fakes import DEFINITION

if TYPE_CHECKING:
    from pathlib import Path

TEXT = json.dumps(DEFINITION)
ANSWER = {"PipelineArn": "arn", "PipelineName": "saved", "PipelineDescription": "Mine", "PipelineDefinition": TEXT}


def test_a_saved_answer_names_its_pipeline(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(json.dumps(ANSWER))
    loaded = load_definition_file("answer.json", DeployOptions(pipeline="answer.json", folder=str(tmp_path)))
    assert (loaded.name, loaded.description, json.loads(loaded.text)) == ("saved", "Mine", DEFINITION)


def test_an_answer_may_be_given_as_boto3_returns_it() -> None:
    answer = {**ANSWER, "CreationTime": datetime.datetime.now(datetime.timezone.utc)}
    loaded = load_definition(None, DeployOptions(pipeline=answer), log=print)  # type: ignore[arg-type]
    assert (loaded.name, json.loads(loaded.text)) == ("saved", DEFINITION)


def test_one_of_several_is_named_and_a_hash_may_be_part_of_a_files_name(tmp_path: Path) -> None:
    assert split_file("t.json#Train", folder=str(tmp_path)) == (tmp_path / "t.json", "Train")
    (tmp_path / "a#b.json").write_text(TEXT)
    assert split_file("a#b.json", folder=str(tmp_path)) == (tmp_path / "a#b.json", None)
    with pytest.raises(DefinitionError, match="holds 2 pipelines"):
        load_document(json.dumps([ANSWER, ANSWER]), origin="answers.json")


def test_what_is_not_filled_in_is_not_deployed_but_text_that_looks_so_is() -> None:
    with pytest.raises(DefinitionError, match=r"t\.tftpl is not filled in: 'b'\."):
        load_document(TEXT[:-1] + ', "Metadata": {"a": ${b}}}', origin="t.tftpl")
    text = TEXT[:-1] + ', "Metadata": {"a": "${HOME}"}}'
    assert load_document(text, origin="d.json").text == text
