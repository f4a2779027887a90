"""What is not filled in is unknown: it is no text, and nothing is found of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.documents import (
    HeldDefinition,
    Variables,
    explain_unfilled,
    explain_unknown,
    inspect_held,
    read_document,
)
from airflow_sm_pipelines.documents.placeholders import make_variants
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.policy import check_definition

TEMPLATE = """{"Version": "2020-12-01",
 "Parameters": [{"Name": "Depth", "Type": "Integer", "DefaultValue": "${depth}"}],
 "Steps": [
  {"Name": "${prefix}-train", "Type": "Training", "Arguments": {
    "AlgorithmSpecification": {"TrainingImage": "${image}", "TrainingInputMode": "File"},
    "RoleArn": "${role}", "OutputDataConfig": {"S3OutputPath": "${lookup(local.paths, "out")}"},
    "ResourceConfig": {"InstanceCount": ${count}, "InstanceType": "ml.${size}.xlarge", "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": ${jsonencode({ a = "}" })}}},
   "CacheConfig": {"Enabled": ${cached}, "ExpireAfter": "P${days}D"}},
  {"Name": "Stop", "Type": "Fail", "DependsOn": ["${prefix}-train"],
   "Arguments": {"ErrorMessage": {"Get": "Steps.${prefix}-train.TrainingJobStatus"}}}]}"""


def read(text: str, *settings: str, name: str = "d.json.tftpl") -> HeldDefinition:
    (held,) = read_document(text, name=name, variables=Variables(settings))
    return held


def find(held: HeldDefinition) -> list[str]:
    definition, problems, variants = inspect_held(held)
    assert definition is not None
    return [one.message for one in problems] + [one.message for one in check_definition(definition, variants=variants)]


def test_nothing_is_found_of_unknown_values_and_each_is_named() -> None:
    held = read(TEMPLATE)
    assert find(held) == []
    assert set(held.unknown) >= {
        "depth",
        "prefix",
        "role",
        "count",
        'lookup(local.paths, "out")',
        'jsonencode({ a = "}" })',
    }
    assert "'depth', 'prefix'" in explain_unknown(held)
    assert "not filled in" in explain_unfilled(held, name="d")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["role=admin"], ["too short", "'admin' does not match"]),
        (["size=huge"], ["'ml.huge.xlarge' is not a TrainingInstanceType"]),
        (["count=two"], ["expected a whole number, found the string 'two'"]),
        (["prefix=a b"], ["the step's name: 'a b-train' does not match"]),
        (["depth=deep"], ["deep"]),
        (["days=many"], ["'PmanyD'"]),
        (["cached=yes"], ["'Enabled'"]),
    ],
    ids=["role", "size", "count", "prefix", "depth", "days", "cached"],
)
def test_a_value_that_is_given_is_checked(settings: list[str], expected: list[str]) -> None:
    found = find(read(TEMPLATE, *settings))
    assert len(found) == len(expected)
    assert all(text in message for text, message in zip(expected, found, strict=True)), found


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"VolumeSizeInGB": 30', '"VolumeSizeInGB": "big"', "expected a whole number, found the string 'big'"),
        ('"Name": "Stop"', '"Name": "Stop ${now} !"', "'Stop ${now} !' does not match"),
        (', "TrainingInputMode": "File"', "", "'TrainingInputMode'"),
        ('["${prefix}-train"]', '["${prefix}-tran"]', "${prefix}-tran"),
    ],
    ids=["another value", "the known part of a name", "a missing member", "a wrong reference"],
)
def test_what_is_wrong_whatever_the_unknown_values_are_is_found(old: str, new: str, expected: str) -> None:
    assert TEMPLATE.count(old) == 1
    assert any(expected in message for message in find(read(TEMPLATE.replace(old, new))))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('["${prefix}-train"]', '["${upstream}"]'),
        ('"Steps.${prefix}-train.TrainingJobStatus"', '"Steps.${upstream}.TrainingJobStatus"'),
        ('"Steps.${prefix}-train.TrainingJobStatus"', '"Steps.my-train.TrainingJobStatus"'),
        ('{"Get": "Steps.${prefix}-train.TrainingJobStatus"}', '{"Get": "${reference}"}'),
        ('["${prefix}-train"]', "${depends_on}"),
    ],
    ids=["an unknown name", "in a path", "an unknown step", "an unknown reference", "an unknown list"],
)
def test_a_reference_that_may_name_what_is_there_is_no_problem(old: str, new: str) -> None:
    assert TEMPLATE.count(old) == 1
    assert find(read(TEMPLATE.replace(old, new))) == []


def test_values_are_filled_in_as_text_or_as_json() -> None:
    held = read(
        '{"Version": "2020-12-01", "Steps": [], "Metadata": {"A": "x${a}", "B": ${b}, "C": "$${c}", "D": ${var.d}}}',
        'a=q"\\',
        "b=[1]",
        "d=word",
    )
    assert json.loads(held.text)["Metadata"] == {"A": 'xq"\\', "B": [1], "C": "${c}", "D": "word"}
    assert held.unknown == ()


def test_a_name_may_have_an_equals_sign_and_unused_values_are_known() -> None:
    variables = Variables(['f({ a = "b" })=1', "other=2"])
    read_document('{"Steps": [], "X": ${f({ a = "b" })}}', name="d.tftpl", variables=variables)
    assert variables.unused == ("other",)
    assert list(variables.missed) == []


def test_text_of_a_command_and_of_a_definition_that_stands_as_it_is_stays() -> None:
    document: dict[str, Any] = {
        "Version": "2020-12-01",
        "Steps": [
            {
                "Name": "P",
                "Type": "Processing",
                "Arguments": {"AppSpecification": {"ContainerEntrypoint": ["sh", "-c", "echo ${HOME}"]}},
            }
        ],
    }
    text = json.dumps(document)
    held = read(text, name="d.json")
    assert (held.text, held.unknown, held.marked) == (text, (), None)
    document["Metadata"] = {"a": "${bucket}"}
    held = read(json.dumps(document), name="d.json")
    assert held.unknown == ("bucket",)
    assert explain_unfilled(held, name="d") == ""
    assert "bucket" in explain_unfilled(read(json.dumps(document), "x=1", name="d.json"), name="d")


def test_a_placeholder_without_an_end_is_text_in_json_and_a_fault_elsewhere() -> None:
    assert (
        read('{"Version": "2020-12-01", "Steps": [], "Metadata": {"a": "${b", "c": "}"}}', name="d.json").unknown == ()
    )
    with pytest.raises(DefinitionError, match="directive"):
        read('{"Steps": [], "a": "%{ if x }"}')


NAMED = """{"Version": "2020-12-01", "Steps": [
  {"Name": "%s", "Type": "Training", "Arguments": {}},
  {"Name": "After", "Type": "Fail", "DependsOn": ["%s"], "Arguments": {"ErrorMessage": "%s"}}]}"""


@pytest.mark.parametrize(
    ("declared", "reference", "bound"),
    [
        ("${p}-train", "my-train", "my"),
        ("my-train", "${p}-train", "my"),
        ("${p}-train", "my-tran", None),
        ("${p}-train", "After", None),
        ("${p}-${p}", "a-a", None),
    ],
    ids=["an open name", "an open reference", "another end", "a step there is", "twice in a name"],
)
def test_where_a_name_and_a_reference_may_be_the_same_one_variant_has_them_so(
    declared: str, reference: str, bound: str | None
) -> None:
    held = read(NAMED % (declared, reference, "about ${p}"))
    assert held.marked is not None
    variants = [variant for variant, _ in make_variants(held.marked)]
    assert len(variants) == (2 if bound is None else 3)
    if bound is not None:
        steps: Any = variants[2]["Steps"]
        assert [steps[0]["Name"], *steps[1]["DependsOn"]] == ["my-train", "my-train"]
