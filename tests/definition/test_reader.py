"""What is wrong with a document is told with its place, all at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.definition import inspect_definition, parse_definition
from airflow_sm_pipelines.exceptions import DefinitionError

STEP = {"Name": "A", "Type": "Training", "Arguments": {}}


def problems_of(document: Any) -> dict[str, str]:
    _, problems = inspect_definition(document)
    return {problem.path: problem.message for problem in problems}


def step_with(**keys: Any) -> dict[str, Any]:
    return {"Steps": [{**STEP, **keys}]}


def parameter(**keys: Any) -> dict[str, Any]:
    return {"Parameters": [{"Name": "P", **keys}], "Steps": []}


def condition(**keys: Any) -> dict[str, Any]:
    return {"Steps": [{"Name": "C", "Type": "Condition", "Arguments": {"Conditions": [keys]}}]}


def test_one_error_names_line_column_path_and_remedy() -> None:
    text = """{
  "Steps": [
    {"Name": "Train", "Type": "Training"},
    {"Name": "B", "Type": "Model", "DependsOn": ["Trian"]}
  ]
}"""
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text, name="train.json")
    assert str(caught.value) == (
        "train.json:4:50: Steps[1].DependsOn[0]: step 'B' depends on 'Trian', but no step is called 'Trian'. "
        "Did you mean 'Train'?"
    )


def test_all_errors_come_at_once_in_one_message() -> None:
    document = {
        "Parameters": [{"Name": "P", "Type": "Int"}, {"Name": "P"}],
        "Steps": [{"Name": "A", "Type": "Training", "DependsOn": "B"}, {"Type": 5}],
    }
    with pytest.raises(DefinitionError) as caught:
        parse_definition(document)
    assert str(caught.value).splitlines() == [
        "definition has 5 problems:",
        (
            "  definition: Parameters[0].Type: 'Int' is not a parameter type; those are 'String', 'Integer', 'Float', "
            "'Boolean'. Did you mean 'Integer'?"
        ),
        (
            "  definition: Parameters[1].Name: the parameter 'P' is declared already, at Parameters[0]. "
            "Rename or remove one of them."
        ),
        "  definition: Steps[0].DependsOn: 'DependsOn' of step 'A' must be an array, found the string 'B'.",
        "  definition: Steps[1]: a step has no 'Name'; expected a string.",
        "  definition: Steps[1].Type: 'Type' of this step must be a string, found the number 5.",
    ]


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


@pytest.mark.parametrize(
    ("document", "path", "part"),
    [
        ({}, "", "'Steps' is missing"),
        ({"Steps": None}, "", "'Steps' is missing"),
        ({"Steps": {}}, "Steps", "must be an array, found an object"),
        ({"Steps": [1]}, "Steps[0]", "expected an object, found the number 1"),
        ({"Steps": [], "Version": 1}, "Version", "must be a string"),
        ({"Steps": [], "Metadata": []}, "Metadata", "must be an object"),
        ({"Steps": [], "Parameters": {}}, "Parameters", "must be an array"),
        ({"Steps": [], "PipelineExperimentConfig": "x"}, "PipelineExperimentConfig", "must be an object"),
        ({"Steps": [], "Parameters": [{"Typ": "String"}]}, "Parameters[0]", "a parameter has no 'Name'"),
        ({"Steps": [{"name": "A", "Type": "Model"}]}, "Steps[0]", "Did you mean 'name'?"),
        ({"Steps": [{"Name": "", "Type": "Model"}]}, "Steps[0].Name", "is empty"),
        ({"Steps": [{"Name": "A"}]}, "Steps[0]", "step 'A' has no 'Type'"),
        (step_with(Arguments=[]), "Steps[0].Arguments", "must be an object"),
        (step_with(DisplayName=1), "Steps[0].DisplayName", "must be a string"),
        (step_with(DependsOn=[1]), "Steps[0].DependsOn[0]", "found the number 1"),
        (step_with(DependsOn=[{"Trigger": "Any"}]), "Steps[0].DependsOn[0]", "has no 'Step'"),
        (step_with(CacheConfig=True), "Steps[0].CacheConfig", "found true"),
        (step_with(CacheConfig={"Enabled": "true"}), "Steps[0].CacheConfig.Enabled", "true or false"),
        (step_with(RetryPolicies=[{}]), "Steps[0].RetryPolicies[0].ExceptionType", "an array of strings, found null"),
        (
            step_with(RetryPolicies=[{"ExceptionType": "x", "MaxAttempts": 1.5}]),
            "Steps[0].RetryPolicies[0].MaxAttempts",
            "a whole number",
        ),
        (
            step_with(PropertyFiles=[{"PropertyFileName": "F", "OutputName": "o"}]),
            "Steps[0].PropertyFiles[0]",
            "has no 'FilePath'",
        ),
        (parameter(Type=4), "Parameters[0].Type", "must be a string"),
        (parameter(Type="Integer", DefaultValue="5"), "Parameters[0].DefaultValue", "default is the string '5'"),
        (parameter(Type="Integer", DefaultValue=True), "Parameters[0].DefaultValue", "default is true"),
        (parameter(Type="Integer", DefaultValue=5.5), "Parameters[0].DefaultValue", "the number 5.5"),
        (parameter(Type="Boolean", DefaultValue=1), "Parameters[0].DefaultValue", "the number 1"),
        (parameter(DefaultValue=1), "Parameters[0].DefaultValue", "is of type String"),
        (parameter(EnumValues=["a", 1]), "Parameters[0].EnumValues[1]", "is of type String"),
        (parameter(DefaultValue="aa", EnumValues=["a"]), "Parameters[0].DefaultValue", "Did you mean 'a'?"),
        (condition(), "Steps[0].Arguments.Conditions[0]", "a condition has no 'Type'"),
        (
            condition(Type="GreaterThen", LeftValue=1, RightValue=2),
            "Steps[0].Arguments.Conditions[0].Type",
            "GreaterThan'?",
        ),
        (
            condition(Type="ConditionLessThan", LeftValue=1, RightValue=2),
            "Steps[0].Arguments.Conditions[0].Type",
            "Did you mean 'LessThan'?",
        ),
        (condition(Type="Equals", LeftValue=1), "Steps[0].Arguments.Conditions[0]", "needs 'RightValue'"),
        (
            condition(Type="Equals", LeftValue=[1], RightValue=1),
            "Steps[0].Arguments.Conditions[0].LeftValue",
            "compares single values",
        ),
        (condition(Type="In", QueryValue=1), "Steps[0].Arguments.Conditions[0]", "needs 'Values'"),
        (condition(Type="Not"), "Steps[0].Arguments.Conditions[0]", "needs 'Condition'"),
        (condition(Type="Or"), "Steps[0].Arguments.Conditions[0]", "needs 'Conditions'"),
        ({"Steps": [{"Name": "C", "Type": "Condition"}]}, "Steps[0].Arguments", "has no 'Conditions'"),
    ],
)
def test_a_field_of_the_wrong_kind_is_found(document: Any, path: str, part: str) -> None:
    found = problems_of(document)
    assert list(found) == [path]
    assert part in found[path]


def test_a_trigger_that_does_not_exist_is_found() -> None:
    document = {"Steps": [STEP, {**STEP, "Name": "B", "DependsOn": [{"Step": "A", "Trigger": "Fail"}]}]}
    assert problems_of(document) == {
        "Steps[1].DependsOn[0].Trigger": "'Fail' is not a trigger; those are 'Completed', 'Failed', 'Stopped', 'Any'. "
        "Did you mean 'Failed'?"
    }


def test_python_values_that_are_no_json_are_found() -> None:
    found = problems_of({"Steps": [{**STEP, "Arguments": {"when": object(), 5: 1, "rate": float("inf")}}]})
    assert found["Steps[0].Arguments.when"].startswith("found a Python object of type builtins.object")
    assert found["Steps[0].Arguments"] == "the key 5 is not a string; JSON keys are strings."
    assert found["Steps[0].Arguments.rate"] == "inf is not a JSON number."


def test_tuples_and_other_mappings_are_read_as_arrays_and_objects() -> None:
    from collections import ChainMap

    definition = parse_definition(ChainMap({"Steps": ({"Name": "A", "Type": "Lambda", "Arguments": {"x": (1, 2)}},)}))
    assert definition.to_json()["Steps"] == [{"Name": "A", "Type": "Lambda", "Arguments": {"x": [1, 2]}}]


def test_what_is_no_source_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="JSON text or a mapping, not list"):
        parse_definition([])  # type: ignore[arg-type]


def test_a_step_without_a_name_does_not_hide_its_branches() -> None:
    inner = {"Name": "Inner", "Type": "Training"}
    document = {
        "Steps": [
            {"Type": "Condition", "Arguments": {"Conditions": [], "IfSteps": [inner]}},
            {"Name": "B", "Type": "Model", "DependsOn": ["Inner"]},
        ]
    }
    assert problems_of(document) == {"Steps[0]": "a step has no 'Name'; expected a string."}


def test_thirty_one_nested_conditions_are_read() -> None:
    steps: list[Any] = [{"Name": "deepest", "Type": "Training"}]
    for depth in range(80):
        steps = [{"Name": f"C{depth}", "Type": "Condition", "Arguments": {"Conditions": [], "ElseSteps": steps}}]
    text = json.dumps({"Steps": steps})
    definition = parse_definition(text)
    assert len(list(definition.iter_steps())) == 81
    assert json.dumps(definition.to_json()) == text


def test_places_are_right_in_any_layout() -> None:
    document = {"Steps": [STEP, {**STEP, "Name": '\u2028 "b" é', "DependsOn": ["A", "No"]}]}
    for indent in (None, 0, 3, "\t"):
        text = json.dumps(document, indent=indent)  # type: ignore[arg-type]
        _, (problem,) = inspect_definition(text)
        assert problem.line is not None
        assert problem.column is not None
        line = text.split("\n")[problem.line - 1]
        assert line[problem.column - 1 :].startswith('"No"')
