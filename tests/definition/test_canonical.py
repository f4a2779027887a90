"""One hash for every spelling of a definition, another for every other definition; the diff agrees with it."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.definition import canonical_text, definition_hash, diff_definitions, parse_definition
from tests.definition.strategies import definitions

DATA = Path(__file__).parent.parent / "data" / "definitions"

STEP: dict[str, Any] = {"Name": "A", "Type": "Training"}


def shuffle_keys(value: Any, source: random.Random) -> Any:
    if isinstance(value, dict):
        keys = list(value)
        source.shuffle(keys)
        return {key: shuffle_keys(value[key], source) for key in keys}
    return [shuffle_keys(item, source) for item in value] if isinstance(value, list) else value


def with_step(**keys: Any) -> dict[str, Any]:
    return {"Steps": [{"Name": "First", "Type": "Lambda"}, {"Name": "Second", "Type": "Lambda"}, {**STEP, **keys}]}


def with_parameter(**keys: Any) -> dict[str, Any]:
    return {"Parameters": [{"Name": "P", **keys}], "Steps": []}


def with_condition(condition: Any, **branches: Any) -> dict[str, Any]:
    return {"Steps": [{"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [condition], **branches}}]}


IN = {"Type": "In", "QueryValue": 1, "Values": [1]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_step(), with_step(DependsOn=[], PropertyFiles=None, RetryPolicies=[], DisplayName="", Arguments={})),
        (with_step(), with_step(CacheConfig=None, Description=None, OutputParameters=[])),
        (with_step(DependsOn=["First", "Second"]), with_step(DependsOn=["Second", "First", "Second"])),
        (with_step(DependsOn=["First"]), with_step(DependsOn=[{"Step": "First", "Trigger": "Completed"}])),
        (with_step(DependsOn=["First"]), with_step(DependsOn=[{"Step": "First"}])),
        (
            with_step(RetryPolicies=[{"ExceptionType": "Step.THROTTLING"}]),
            with_step(RetryPolicies=[{"ExceptionType": ["Step.THROTTLING"], "MaxAttempts": None}]),
        ),
        (
            with_step(Arguments={"x": {"Std:Join": {"Values": ["a"]}}}),
            with_step(Arguments={"x": {"Std:Join": {"On": "", "Values": ["a"]}}}),
        ),
        (with_parameter(), with_parameter(Type="String", EnumValues=[], DefaultValue=None)),
        (with_parameter(Type="Float", DefaultValue=1), with_parameter(Type="Float", DefaultValue=1.0)),
        (with_parameter(Type="Integer", DefaultValue=1), with_parameter(Type="Integer", DefaultValue=1.0)),
        (with_condition(IN), with_condition({"Type": "In", "Value": 1, "In": [1]}, IfSteps=[], ElseSteps=None)),
        ({"Steps": []}, {"Steps": [], "Version": "2020-12-01", "Metadata": {}, "Parameters": []}),
    ],
)
def test_spellings_of_the_same_have_one_hash(one: Any, other: Any) -> None:
    first, second = parse_definition(one), parse_definition(other)
    assert canonical_text(first) == canonical_text(second)
    assert diff_definitions(first, second) == ()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (with_step(), with_step(DependsOn=["First"])),
        (with_step(DependsOn=["First"]), with_step(DependsOn=[{"Step": "First", "Trigger": "Any"}])),
        (with_step(Arguments={"x": 1}), with_step(Arguments={"x": 1.0})),
        (with_step(Arguments={"x": 1}), with_step(Arguments={"x": True})),
        (with_step(Arguments={"x": None}), with_step(Arguments={})),
        (with_step(Arguments={"x": ["a", "b"]}), with_step(Arguments={"x": ["b", "a"]})),
        (with_step(CacheConfig={"Enabled": True}), with_step(CacheConfig={"Enabled": True, "New": 1})),
        (with_step(CacheConfig={"Enabled": False}), with_step()),
        (with_step(Unknown=None), with_step()),
        (with_parameter(DefaultValue=""), with_parameter()),
        (with_parameter(Type="Boolean", DefaultValue=False), with_parameter(Type="Boolean")),
        (with_parameter(Type="Integer", DefaultValue=0), with_parameter(Type="Integer")),
        ({"Steps": [], "PipelineExperimentConfig": None}, {"Steps": []}),
        ({"Steps": [{"Name": "B", "Type": "X"}, STEP]}, {"Steps": [STEP, {"Name": "B", "Type": "X"}]}),
        (with_condition(IN, IfSteps=[STEP]), with_condition(IN, ElseSteps=[STEP])),
        (with_condition(IN, IfSteps=[STEP]), {"Steps": [*with_condition(IN)["Steps"], STEP]}),
    ],
)
def test_what_may_run_differently_has_another_hash(one: Any, other: Any) -> None:
    first, second = parse_definition(one), parse_definition(other)
    assert definition_hash(first) != definition_hash(second)
    assert diff_definitions(first, second)


@settings(max_examples=100, deadline=None)
@given(definitions(), st.integers())
def test_the_order_of_keys_never_counts(document: dict[str, Any], seed: int) -> None:
    definition = parse_definition(document)
    other = parse_definition(shuffle_keys(document, random.Random(seed)))
    assert definition_hash(other) == definition_hash(definition)
    assert diff_definitions(definition, other) == ()


@settings(max_examples=100, deadline=None)
@given(definitions())
def test_the_canonical_text_is_a_definition_with_itself_as_canonical_text(document: dict[str, Any]) -> None:
    text = canonical_text(parse_definition(document))
    assert canonical_text(parse_definition(text)) == text
    assert text.isascii()


@settings(max_examples=150, deadline=None)
@given(definitions(), definitions())
def test_there_is_a_change_exactly_when_the_hash_differs(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = parse_definition(one), parse_definition(other)
    assert (diff_definitions(first, second) == ()) == (definition_hash(first) == definition_hash(second))


def test_the_hash_of_a_file_stays_what_it_was() -> None:
    """Deployed pipelines are compared by it: a change here makes every pipeline look changed once."""
    definition = parse_definition((DATA / "train_and_evaluate.json").read_text())
    assert definition_hash(definition) == "c1d918b2f1762d8ea7b95ac2e8ba5f68b06c7caa2f441a40deb863939e62db28"
    assert len(json.loads(canonical_text(definition))["Steps"]) == 4


def test_a_replaced_value_shows_in_the_hash() -> None:
    definition = parse_definition((DATA / "train_and_evaluate.json").read_text())
    renamed = replace(definition, metadata={"owner": "me"})
    assert definition_hash(renamed) != definition_hash(definition)
