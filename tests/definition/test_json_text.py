"""JSON is read strictly, and what is wrong with it is told with its line and column."""

from __future__ import annotations

import json
from collections import ChainMap
from typing import Any

import pytest

from airflow_sm_pipelines.definition import inspect_definition, parse_definition

STEP = {"Name": "A", "Type": "Training", "Arguments": {}}


def problems_of(document: Any) -> dict[str, str]:
    _, problems = inspect_definition(document)
    return {problem.path: problem.message for problem in problems}


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ('{"Steps": [,]}', (1, 12), "this is not JSON: Expecting value"),
        ('{"Steps": []', (1, 13), "ends too early"),
        ("{'Steps': []}", (1, 2), "this is not JSON"),
        ('{\n"Steps": [],\n"X": NaN}', None, "NaN is not a JSON number"),
        ('{"Steps": [], "X": 1e999}', None, "too large"),
        ('{"Steps": [], "X": ' + "1" * 5000 + "}", None, "number that cannot be read"),
        ("", None, "is empty"),
        ("  \n", None, "is empty"),
        ("[1]", (1, 1), "found an array"),
        ("null", (1, 1), "found null"),
        ('"{}"', (1, 1), "unwrap it"),
        ('{"PipelineArn": "arn", "PipelineDefinition": "{}"}', (1, 1), "answer of DescribePipeline"),
        ("[" * 100_000, None, "levels deep"),
        ('{"Steps": [], "X": ' + "[" * 400 + "]" * 400 + "}", None, "levels deep"),
    ],
)
def test_text_that_holds_no_definition_is_refused(text: str, place: tuple[int, int] | None, part: str) -> None:
    _, (problem,) = inspect_definition(text)
    assert part in problem.message
    assert (problem.line, problem.column) == (place or (None, None))


def test_bytes_that_are_no_text_are_refused() -> None:
    _, (problem,) = inspect_definition(b'{"Steps": ["\xff"]}')
    assert "byte 12 is not valid utf-8" in problem.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_every_encoding_of_json_is_read(encoding: str) -> None:
    definition = parse_definition('{"Steps": [], "Comment": "é"}'.encode(encoding))
    assert definition.extra == {"Comment": "é"}


def test_a_key_that_stands_twice_is_found_where_it_stands_again() -> None:
    text = '{"Steps": [{"Name": "A", "Type": "Lambda",\n "Arguments": {"x": 1, "y": {}, "x": [2]}}]}'
    _, (problem,) = inspect_definition(text)
    assert (problem.line, problem.column) == (2, 33)
    assert problem.path == "Steps[0].Arguments.x"
    assert problem.message == "the key 'x' occurs twice in this object. Keep one of them."


def test_python_values_that_are_no_json_are_found() -> None:
    found = problems_of({"Steps": [{**STEP, "Arguments": {"when": object(), 5: 1, "rate": float("inf")}}]})
    assert found["Steps[0].Arguments.when"].startswith("found a Python object of type builtins.object")
    assert found["Steps[0].Arguments"] == "the key 5 is not a string; JSON keys are strings."
    assert found["Steps[0].Arguments.rate"] == "inf is not a JSON number."


def test_tuples_and_other_mappings_are_read_as_arrays_and_objects() -> None:
    definition = parse_definition(ChainMap({"Steps": ({"Name": "A", "Type": "Lambda", "Arguments": {"x": (1, 2)}},)}))
    assert definition.to_json()["Steps"] == [{"Name": "A", "Type": "Lambda", "Arguments": {"x": [1, 2]}}]


def test_places_are_right_in_any_layout() -> None:
    document = {"Steps": [STEP, {**STEP, "Name": '\u2028 "b" é', "DependsOn": ["A", "No"]}]}
    for indent in (None, 0, 3, "\t"):
        text = json.dumps(document, indent=indent)  # type: ignore[arg-type]
        _, (problem,) = inspect_definition(text)
        assert problem.line is not None
        assert problem.column is not None
        line = text.split("\n")[problem.line - 1]
        assert line[problem.column - 1 :].startswith('"No"')
