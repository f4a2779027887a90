"""Given values become typed values, or are refused all at once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition import encode_parameters, parse_definition, resolve_parameters
from airflow_sm_pipelines.exceptions import ParameterError

DEFINITION = parse_definition(
    {
        "Parameters": [
            {"Name": "Data"},
            {"Name": "Depth", "Type": "Integer", "DefaultValue": 4.0},
            {"Name": "Eta", "Type": "Float", "DefaultValue": 1},
            {"Name": "Verbose", "Type": "Boolean", "DefaultValue": False},
            {"Name": "Mode", "Type": "String", "DefaultValue": "fast", "EnumValues": ["fast", "slow"]},
        ],
        "Steps": [],
    }
)


def test_defaults_fill_what_is_not_given() -> None:
    values = resolve_parameters(DEFINITION, {"Data": "s3://b/k"})
    assert values == {"Data": "s3://b/k", "Depth": 4, "Eta": 1.0, "Verbose": False, "Mode": "fast"}
    assert [type(value) for value in values.values()] == [str, int, float, bool, str]


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("Depth", "7", 7),
        ("Depth", " -7\n", -7),
        ("Depth", 7.0, 7),
        ("Eta", "0.5", 0.5),
        ("Eta", 1, 1.0),
        ("Eta", "1e-3", 0.001),
        ("Verbose", "True", True),
        ("Verbose", "false", False),
        ("Verbose", True, True),
        ("Data", "", ""),
        ("Data", 5, "5"),
        ("Mode", "slow", "slow"),
    ],
)
def test_text_and_values_are_typed(name: str, given: Any, value: Any) -> None:
    resolved = resolve_parameters(DEFINITION, {"Data": "d", name: given})[name]
    assert resolved == value
    assert type(resolved) is type(value)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("Depth", "7.5", "'Depth' is of type Integer: expected a whole number, found the string '7.5'."),
        ("Depth", "1_000", "'Depth' is of type Integer: expected a whole number, found the string '1_000'."),
        ("Depth", True, "'Depth' is of type Integer: expected a whole number, found true."),
        ("Eta", "nan", "'Eta' is of type Float: expected a number, found the string 'nan'."),
        ("Eta", float("inf"), "'Eta' is of type Float: expected a number, found the number inf."),
        ("Verbose", 1, "'Verbose' is of type Boolean: expected true or false, found the number 1."),
        ("Verbose", "yes", "'Verbose' is of type Boolean: expected true or false, found the string 'yes'."),
        ("Data", True, "'Data' is of type String: expected text, found true."),
        ("Data", ["a"], "'Data' is of type String: expected text, found an array."),
        ("Data", None, "'Data' is null; leave it out to take the default."),
        ("Mode", "slo", "'Mode' is 'slo', which is not one of its values: 'fast', 'slow'. Did you mean 'slow'?"),
        ("Dept", 1, "the pipeline has no parameter 'Dept'. Did you mean 'Depth'?"),
        (
            "Data",
            "x" * 1025,
            "'Data' has 1025 characters; SageMaker takes 1024. Put it in a file on S3 and pass the URI.",
        ),
    ],
)
def test_a_wrong_value_is_refused(name: str, given: Any, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        resolve_parameters(DEFINITION, {"Data": "d", name: given})
    assert str(caught.value) == f"Pipeline parameter: {message}"


def test_all_wrong_values_are_told_at_once() -> None:
    with pytest.raises(ParameterError) as caught:
        encode_parameters(DEFINITION, {"Depth": "deep", "Xyz": 1})
    assert str(caught.value).splitlines() == [
        "3 pipeline parameters are wrong:",
        "  'Depth' is of type Integer: expected a whole number, found the string 'deep'.",
        "  the pipeline has no parameter 'Xyz'. It has 'Data', 'Depth', 'Eta', 'Verbose', 'Mode'.",
        "  'Data' (String) has no default, so each execution must give it.",
    ]


def test_only_given_values_are_sent_as_text() -> None:
    given = {"Verbose": "true", "Data": "d", "Eta": 2, "Depth": "05"}
    assert encode_parameters(DEFINITION, given) == [
        {"Name": "Data", "Value": "d"},
        {"Name": "Depth", "Value": "5"},
        {"Name": "Eta", "Value": "2.0"},
        {"Name": "Verbose", "Value": "True"},
    ]


def test_steps_and_parameters_are_found_by_name() -> None:
    assert DEFINITION.parameter("Eta").type == "Float"
    with pytest.raises(ParameterError, match="Did you mean 'Eta'"):
        DEFINITION.parameter("eta")


def test_an_empty_value_is_left_out_where_it_is_the_default_and_else_refused() -> None:
    parameters = [{"Name": "Note", "Type": "String", "DefaultValue": ""}, {"Name": "Mode", "Type": "String"}]
    steps = [{"Name": "End", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}}]
    definition = parse_definition({"Version": "2020-12-01", "Parameters": parameters, "Steps": steps}, name="p")
    assert encode_parameters(definition, {"Note": "", "Mode": "a"}) == [{"Name": "Mode", "Value": "a"}]
    assert encode_parameters(definition, {"Note": "n", "Mode": "a"})[0] == {"Name": "Note", "Value": "n"}
    with pytest.raises(ParameterError, match="'Mode' is empty, which SageMaker does not take"):
        encode_parameters(definition, {"Mode": ""})
