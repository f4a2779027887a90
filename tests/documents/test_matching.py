"""An unknown value that may be the deployed one is no change."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.definition import diff_definitions, parse_definition
from airflow_sm_pipelines.documents import parse_held, read_document, with_values_of


def make(name: str, *entrypoint: Any) -> dict[str, Any]:
    arguments = {"HyperParameters": {f"p{number}": value for number, value in enumerate(entrypoint)}}
    return {"Version": "2020-12-01", "Steps": [{"Name": name, "Type": "Training", "Arguments": arguments}]}


@pytest.mark.parametrize(
    ("written", "deployed", "changes"),
    [
        (["s3://${b}/x", "${b}"], ["s3://data/x", "data"], 0),
        (["s3://${b}/${p}/x", "${b}"], ["s3://data/a/b/x", "data"], 0),
        (["s3://${b}/x"], ["s3://data/y"], 1),
        (["${b}", "${b}"], ["one", "two"], 2),
        (["${b}", "x"], ["one", "y"], 1),
    ],
    ids=["the same", "two in one text", "another known part", "one name with two values", "another change"],
)
def test_changes_are_those_that_no_value_undoes(written: list[Any], deployed: list[Any], changes: int) -> None:
    (held,) = read_document(json.dumps(make("T", *written)), name="d.json")
    other = parse_definition(make("T", *deployed))
    matched = with_values_of(held, other.to_json())
    assert len(diff_definitions(other, parse_held(matched, name="d")[0])) == changes
    assert matched.unknown == held.unknown


def test_a_value_that_is_no_text_is_taken_as_it_is() -> None:
    (held,) = read_document('{"Version": "2020-12-01", "Steps": [], "Metadata": {"n": ${n}}}', name="d.tftpl")
    assert json.loads(with_values_of(held, {"Metadata": {"n": 3}}).text)["Metadata"] == {"n": 3}


@pytest.mark.parametrize(
    ("value", "shown"), [("data", "data"), (3, "3"), (True, "true"), (["a"], '["a"]')], ids=lambda one: str(one)
)
def test_a_value_that_is_taken_is_shown_in_place_of_its_name(value: Any, shown: str) -> None:
    (held,) = read_document('{"Version": "2020-12-01", "Steps": [], "Metadata": {"n": ${n}}}', name="d.tftpl")
    assert with_values_of(held, {"Metadata": {"n": value}}).shown == (shown,)
