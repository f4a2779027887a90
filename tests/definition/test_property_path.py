"""Property paths: what is one, where it leads, and that everybody who follows one ends at the same value."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from airflow_sm_pipelines.client.outputs import OutputReader, parse_output_requests
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.definition.json_value import is_same_json
from airflow_sm_pipelines.definition.property_path import (
    NAMING_MEMBERS,
    PropertyNotFoundError,
    PropertyPath,
    find_value,
    format_tail,
    parse_document_path,
    parse_tail,
    split_iteration,
    walk_path,
    walk_step_property,
)
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope, resolve
from airflow_sm_pipelines.exceptions import DefinitionError, OutputError
from tests.definition.property_path_cases import NAMING, Case, make_case, parse_slowly, walk_slowly

CASES = int(os.environ.get("DIFFERENTIAL_CASES", "1000"))
NOTHING = object()
JOB = "arn:aws:sagemaker:us-east-1:123456789012:training-job/t"
FILE_STEP = {
    "Name": "S",
    "Type": "Processing",
    "PropertyFiles": [{"PropertyFileName": "F", "OutputName": "out", "FilePath": "f.json"}],
}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (("Outputs", "train", "S3Output"), "s3://t"),
        (("Outputs", 1, "S3Output"), "s3://v"),
        (("Metrics", "rmse", "Value"), 4.5),
        (("Environment", "a.b"), "c"),
        (("Environment", 0), "zero"),
        (("X", "g", "V"), 1),
        (("Pairs", "b"), {"Name": "a", "ModelName": "b"}),
        ((), None),
    ],
)
def test_a_path_finds_members_indexes_and_named_entries(path: PropertyPath, expected: Any) -> None:
    root = {
        "Outputs": [{"OutputName": "train", "S3Output": "s3://t"}, {"OutputName": "val", "S3Output": "s3://v"}],
        "Metrics": [{"MetricName": "rmse", "Value": 4.5}],
        "Environment": {"a.b": "c", "0": "zero"},
        "X": [{"ParameterName": "g", "V": 1}],
        "Pairs": [{"Name": "a", "ModelName": "b"}, {"Name": "b"}],
    }
    assert walk_path(root, path) == (expected if path else root)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (("Wrong",), "no property 'Wrong'. It has 'Outputs', 'Time'."),
        (("outputs",), "no property 'outputs'. It has 'Outputs', 'Time'. Did you mean 'Outputs'?"),
        (("Outputs", "tain"), "no property 'Outputs.tain'. 'Outputs' has entries named 'train'. Did you mean 'train'?"),
        (("Outputs", 7), "no property 'Outputs[7]'. 'Outputs' has 1 entry."),
        (("Outputs", -1), "no property 'Outputs[-1]'. 'Outputs' has 1 entry."),
        (
            ("Outputs", "train", "OutputName", "x"),
            "no property 'Outputs.train.OutputName.x'. 'Outputs.train.OutputName' is the string 'train'.",
        ),
        (("Time", "x"), "no property 'Time.x'. 'Time' is the bytes b'now'."),
    ],
)
def test_a_path_that_leads_nowhere_says_where_it_ends(path: PropertyPath, words: str) -> None:
    with pytest.raises(PropertyNotFoundError) as caught:
        walk_path({"Outputs": [{"OutputName": "train"}], "Time": b"now"}, path)
    assert str(caught.value) == words
    assert isinstance(caught.value, LookupError)
    assert caught.value.path == path


def test_a_value_that_may_be_missing_is_none() -> None:
    assert find_value({"a": [{"Name": "b", "c": 1}]}, "a", "b", "c") == 1
    assert find_value({"a": [{"Name": "b", "c": 1}]}, "a", "x", "c") is None


def test_the_outputs_of_functions_are_their_values() -> None:
    properties = {"OutputParameters": [{"Name": "n", "Value": 2}, {"Name": "m"}]}
    assert walk_step_property(properties, ("OutputParameters", "n")) == 2
    assert walk_step_property(properties, ("OutputParameters", 0)) == 2
    assert walk_step_property(properties, ("OutputParameters", "n", "Name")) == "n"
    assert walk_step_property(properties, ("OutputParameters", "m")) is None


def test_a_path_into_an_iteration_is_one_into_the_step_made_for_the_item() -> None:
    assert split_iteration(("IterationOutputs", 2, "train", "X", 0)) == ("train-2", ("X", 0))
    assert split_iteration(("IterationOutputs", 2)) is None
    assert split_iteration(("IterationOutputs", "2", "train")) is None
    assert split_iteration(("Outputs", 2, "train")) is None


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("", ()),
        ("$", ()),
        ("a.b", ("a", "b")),
        ("$.a[0]", ("a", 0)),
        ("$['a']", ("a",)),
        ("[0].score", (0, "score")),
        ("$a.b", ("$a", "b")),
        ("PropertyFiles.a.b", ("PropertyFiles", "a", "b")),
        ("""['it's']["say ']"]""", ("it's", "say ']")),
    ],
)
def test_a_path_into_a_document_is_read(text: str, path: PropertyPath) -> None:
    assert parse_document_path(text) == path


@pytest.mark.parametrize(
    "text", [".a", "$..a", "a..b", "a.", "a[", "a[x]", "a[-1]", "a[*]", "a]", "a[0]b", "a['b", "[٣]", f"[{'9' * 19}]"]
)
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"cannot be read from .* on: a path goes on with \.name, \[0\] or"):
        parse_tail(text if text.startswith((".", "[")) and text != ".a" else f".{text}", whole=text)
    # A document's path has no dot before its first name.
    with pytest.raises(DefinitionError):
        parse_document_path(f"{text}." if text == ".a" else text)


def test_the_reference_knows_the_same_members() -> None:
    assert set(NAMING) == set(NAMING_MEMBERS)


class Answers:
    """The calls that an output reader makes, answered with one document."""

    def __init__(self, document: Any) -> None:
        self.document = document

    def describe_resource(self, operation: str, argument: str, value: str) -> Any:
        """The document as the answer of a Describe call, with the place of the property file beside it."""
        return self.document

    def describe_execution_definition(self, arn: str) -> str:
        """A definition with a property file."""
        return json.dumps({"Steps": [FILE_STEP]})

    def read_s3_text(self, uri: str) -> str:
        """The document as a property file."""
        return json.dumps(self.document["file"])


def read_output(document: Any, request: dict[str, Any], *, metadata: Any = None, step: str = "S") -> tuple[Any, str]:
    """What the operators' ``outputs`` give: the value, or nothing and why."""
    report = ExecutionReport(
        "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e",
        "Succeeded",
        steps=(StepReport(step, "Any", "Succeeded", metadata=metadata or {"TrainingJob": {"Arn": JOB}}),),
    )
    reader = OutputReader(Answers(document), report, warn=pytest.fail)  # type: ignore[arg-type]
    try:
        return reader.read(parse_output_requests({"x": {**request, "required": True}}))["x"], ""
    except (DefinitionError, OutputError) as error:
        return NOTHING, str(error)


def resolve_in_engine(document: Any, expression: Any) -> tuple[Any, str]:
    """What the engine gives: the value, or nothing and why."""
    scope = ResolutionScope(
        {}, {}, describe_step=lambda name: document, load_property_file=lambda step, name: document["file"]
    )
    try:
        return resolve(expression, scope), ""
    except (DefinitionError, ResolutionError) as error:
        return NOTHING, str(error)


def expect(document: Any, tail: str) -> tuple[Any, str]:
    """The value by the slow reading, or nothing and what the walker says of it."""
    path = parse_slowly(tail)
    if path is None:
        return NOTHING, "a path goes on with .name, [0] or ['key']."
    found, value = walk_slowly(document, path)
    if found:
        assert parse_tail(tail, whole=tail) == path
        assert is_same_json(walk_path(document, path), value)
        return value, ""
    with pytest.raises(PropertyNotFoundError) as caught:
        walk_path(document, path)
    return NOTHING, str(caught.value)


def check(given: tuple[Any, str], expected: tuple[Any, str], case: Case, caller: str) -> None:
    """Hold a caller's answer against the expected one; a refusal must carry the walker's reason."""
    if expected[0] is NOTHING:
        assert given[0] is NOTHING, (caller, case)
        assert expected[1] in given[1], (caller, case)
    else:
        assert given[0] is not NOTHING, (caller, case, given[1])
        assert is_same_json(given[0], expected[0]), (caller, case)


def write_document_path(tail: str, *, has_root: bool) -> str | None:
    """The path as ``Std:JsonGet`` takes it; None where it would begin with something else than the tail does."""
    if tail and tail[0] not in ".[":
        return None
    if has_root or not tail.startswith("."):
        return f"${tail}" if has_root else tail
    return None if tail[1:2] in ("", ".", "[", "$") else tail[1:]


def test_all_who_follow_a_path_agree_with_the_slow_reading() -> None:
    """Compare the engine's ``Get`` and ``Std:JsonGet`` and the operators' outputs, of jobs and property files."""
    faulty = compared = 0
    for number in range(CASES):
        case = make_case(number)
        output = {"ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": {"S3Uri": "s3://b/p"}}]}}
        document = {"root": case.document, "file": case.document, **output}
        expected = expect(document, f".root{case.path}")
        faulty += expected[0] is NOTHING
        reference = f"Steps.S.root{case.path}"
        check(resolve_in_engine(document, {"Get": reference}), expected, case, "Get")
        check(read_output(document, {"property": reference}), expected, case, "outputs")

        text = write_document_path(case.path, has_root=number % 3 != 0)
        if text is not None:
            expected = expect(case.document, case.path)
            get = {"Std:JsonGet": {"PropertyFile": {"Get": "Steps.S.PropertyFiles.F"}, "Path": text}}
            check(resolve_in_engine(document, get), expected, case, "JsonGet")
            request = {"property_file": "Steps.S.PropertyFiles.F", "path": text}
            check(read_output(document, request), expected, case, "property file")
            compared += 1
    assert faulty >= 0.4 * CASES
    assert compared >= 0.8 * CASES


@pytest.mark.parametrize(
    ("tail", "value"),
    [
        (".n", "2"),
        ("['n']", "2"),
        ("[1]", "x"),
        ("['n'].Name", "n"),
        ("['missing']", NOTHING),
        ("[7]", NOTHING),
        ("['n'].Value.x", NOTHING),
    ],
)
def test_engine_and_outputs_agree_on_the_outputs_of_functions(tail: str, value: Any) -> None:
    metadata = {"OutputParameters": [{"Name": "n", "Value": "2"}, {"Name": "m", "Value": "x"}]}
    reference = f"Steps.S.OutputParameters{tail}"
    resolved = resolve_in_engine(metadata, {"Get": reference})
    read = read_output(metadata, {"property": reference}, metadata={"Lambda": metadata})
    assert resolved[0] == read[0] == value


@pytest.mark.parametrize(
    ("path", "value"), [("IterationOutputs[2].Body.a", 1), ("IterationOutputs[2].Body.b", NOTHING)]
)
def test_engine_and_outputs_agree_on_iterations(path: str, value: Any) -> None:
    document = {"a": 1}
    scope = ResolutionScope({}, {}, describe_step=lambda name: document if name == "Body-2" else {})
    try:
        resolved = resolve({"Get": f"Steps.Each.{path}"}, scope)
    except ResolutionError:
        resolved = NOTHING
    assert resolved == read_output(document, {"property": f"Steps.Each.{path}"}, step="Body-2")[0] == value


def test_a_path_is_written_as_it_is_read() -> None:
    for number in range(CASES):
        path = parse_slowly(make_case(number).path)
        if path is not None and not any("']" in str(part) and '"]' in str(part) for part in path):
            assert parse_tail(format_tail(path), whole="") == path
