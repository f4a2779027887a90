"""What is wrong with a document is told with its place, all at once."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.definition import (
    build_graph,
    canonical_text,
    diff_definitions,
    inspect_definition,
    parse_definition,
)
from airflow_sm_pipelines.definition.json_value import is_same_json
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.policy import check_definition
from tests.definition.strategies import DefinitionMaker

if TYPE_CHECKING:
    from random import Random

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
        (
            condition(Type="Equals", LeftValue=1, RightValue=1, Expression={}),
            "Steps[0].Arguments.Conditions[0].Expression",
            "Cannot parse object, unknown property 'Expression'.",
        ),
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


DOCUMENTS = [
    json.loads(path.read_text()) for path in sorted((Path(__file__).parent.parent / "data" / "definitions").glob("*"))
]
WRONG: list[Any] = [
    *({"Get": text} for text in ("", "Steps", "Steps.Train", "Steps.Train[0]", "Parameters.", "Steps..x", "ForEach.X")),
    {"Get": None},
    {"Std:Join": {}},
    {"Std:Join": {"On": 1, "Values": [1]}},
    {"Std:JsonGet": {"PropertyFile": {"Get": 5}, "Path": ""}},
    *("Train", "Condition", "ForEach", "Cleanup", "Fail", "Evaluate", "Or", "Not", "In"),
]


def break_somewhere(document: Any, random: Random) -> None:
    """Replace, remove or repeat something at a random place."""
    places = []
    stack = [document]
    while stack:
        value = stack.pop()
        keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
        places += [(value, key) for key in keys]
        stack += [value[key] for key in keys]
    if not places:
        return
    holder, key = random.choice(places)
    action = random.randrange(4)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, list):
        holder.append(copy.deepcopy(holder[key]))
    elif action == 2:
        other, other_key = random.choice(places)
        holder[key] = copy.deepcopy(other[other_key])
    else:
        holder[key] = copy.deepcopy(random.choice([*WRONG, DefinitionMaker(random).json_value()]))


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False), st.sampled_from(DOCUMENTS), st.integers(1, 6))
def test_a_broken_document_is_told_of_or_taken(random: Random, document: Any, count: int) -> None:
    broken = copy.deepcopy(document)
    for _ in range(count):
        break_somewhere(broken, random)
    text = json.dumps(broken)
    definition, problems = inspect_definition(text)
    assert len({(problem.path, problem.message) for problem in problems}) == len(problems)
    assert all(problem.line == 1 and problem.column for problem in problems)
    if definition is None or problems:
        assert problems
        return
    assert is_same_json(definition.to_json(), broken)
    assert len(build_graph(definition).order) == sum(1 for _ in definition.iter_steps())
    again, _ = inspect_definition(canonical_text(definition))
    assert again is not None
    assert diff_definitions(definition, again) == ()
    check_definition(definition)
