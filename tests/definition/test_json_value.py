"""JSON values: how they are named, compared, copied and visited."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition.json_value import (
    MISSING,
    JsonPath,
    copy_json,
    describe_kind,
    format_path,
    is_same_json,
    iter_values,
)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), "the document"),
        (("Steps", 2, "Arguments"), "Steps[2].Arguments"),
        (("Environment", "a.b"), "Environment['a.b']"),
        (("max-depth", "validation:rmse"), "max-depth.validation:rmse"),
        (("it's",), '["it\'s"]'),
        ((0, "x"), "[0].x"),
    ],
)
def test_a_path_is_written_for_people(path: JsonPath, text: str) -> None:
    assert format_path(path) == text


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "null"),
        (True, "true"),
        (1.5, "the number 1.5"),
        ("abc", "the string 'abc'"),
        ("x" * 61, f"the string '{'x' * 57}...'"),
        ([1], "an array"),
        ({}, "an object"),
    ],
)
def test_a_value_is_named_by_its_kind(value: Any, words: str) -> None:
    assert describe_kind(value) == words


@pytest.mark.parametrize(
    ("left", "right", "is_same"),
    [
        ({"a": 1, "b": [True]}, {"b": [True], "a": 1}, True),
        (True, 1, False),
        (1, 1.0, False),
        ([1, 2], [2, 1], False),
        ({"a": None}, {}, False),
    ],
)
def test_the_same_json_is_stricter_than_equal(left: Any, right: Any, is_same: bool) -> None:
    assert is_same_json(left, right) is is_same


def test_a_copy_shares_nothing_that_can_change() -> None:
    value: Any = {"a": [{"b": 1}]}
    copy: Any = copy_json(value)
    copy["a"][0]["b"] = 2
    assert value == {"a": [{"b": 1}]}


def test_values_are_visited_outer_before_inner_in_document_order() -> None:
    assert [path for path, _ in iter_values({"a": [1, {"b": 2}], "c": 3})] == [
        (),
        ("a",),
        ("a", 0),
        ("a", 1),
        ("a", 1, "b"),
        ("c",),
    ]


def test_missing_is_false_and_says_what_it_is() -> None:
    assert not MISSING
    assert repr(MISSING) == "MISSING"
