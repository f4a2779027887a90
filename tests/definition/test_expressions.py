"""Expressions are parsed once into typed references."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.definition import (
    ExecutionReference,
    ExperimentReference,
    ForEachReference,
    IterationReference,
    Join,
    JsonGet,
    ParameterReference,
    PropertyFileReference,
    StepReference,
    iter_expressions,
    parse_expression,
    parse_property_path,
    parse_reference,
)
from airflow_sm_pipelines.exceptions import DefinitionError


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("Parameters.Max-Depth_1", ParameterReference("Max-Depth_1")),
        ("Execution.StartDateTime", ExecutionReference("StartDateTime")),
        ("PipelineExperimentConfig.ExperimentName", ExperimentReference("ExperimentName")),
        ("Steps.S.ModelArtifacts.S3ModelArtifacts", StepReference("S", ("ModelArtifacts", "S3ModelArtifacts"))),
        ("Steps.S.Outputs['a.b'].S3Uri", StepReference("S", ("Outputs", "a.b", "S3Uri"))),
        ('Steps.S.Outputs["it\'s"][2]', StepReference("S", ("Outputs", "it's", 2))),
        ("Steps.S.A['[0]']", StepReference("S", ("A", "[0]"))),
        ("Steps.S.JobConfigDocument.ServiceOutput.X", StepReference("S", ("JobConfigDocument", "ServiceOutput", "X"))),
        ("Steps.S.PropertyFiles.Report", PropertyFileReference("S", "Report")),
        ("Steps.S.PropertyFiles['My Report']", PropertyFileReference("S", "My Report")),
        ("ForEach.CurrentItem", ForEachReference(())),
        ("ForEach.CurrentItem['score'].x", ForEachReference(("score", "x"))),
        ("IterationOutput.Body.OutputParameters['o']", IterationReference("Body", ("OutputParameters", "o"))),
    ],
)
def test_a_get_names_what_it_says(text: str, reference: Any) -> None:
    assert parse_expression({"Get": text}) == reference
    assert parse_reference(str(reference)) == reference


@pytest.mark.parametrize(
    "value", ["Parameters.X", 1, None, [], {}, {"Get": "Steps.S.X", "b": 1}, {"get": "Parameters.X"}]
)
def test_anything_else_is_a_literal(value: Any) -> None:
    assert parse_expression(value) is None


def test_functions_keep_what_is_in_them_as_json() -> None:
    inner = {"Get": "Parameters.X"}
    assert parse_expression({"Std:Join": {"On": "/", "Values": ["a", inner]}}) == Join("/", ("a", inner))
    assert parse_expression({"Std:Join": {"Values": []}}) == Join("", ())
    assert parse_expression({"Std:JsonGet": {"S3Uri": inner, "Path": "a[0]"}}) == JsonGet(inner, "a[0]")
    source = {"Get": "Steps.S.PropertyFiles.F"}
    assert parse_expression({"Std:JsonGet": {"PropertyFile": source, "Path": "a"}}) == JsonGet(
        PropertyFileReference("S", "F"), "a"
    )


def test_expressions_are_found_outer_before_inner_in_document_order() -> None:
    value: Any = {
        "b": [1, {"Get": "Parameters.First"}],
        "a": {"Std:Join": {"Values": [{"Std:JsonGet": {"S3Uri": {"Get": "Parameters.Third"}, "Path": "x"}}, "y"]}},
        "c": {"Get": "Execution.PipelineName"},
    }
    assert [(path, type(expression).__name__) for path, expression in iter_expressions(value)] == [
        (("b", 1), "ParameterReference"),
        (("a",), "Join"),
        (("a", "Std:Join", "Values", 0), "JsonGet"),
        (("a", "Std:Join", "Values", 0, "Std:JsonGet", "S3Uri"), "ParameterReference"),
        (("c",), "ExecutionReference"),
    ]


def test_a_broken_expression_is_not_passed_over() -> None:
    with pytest.raises(DefinitionError, match="begins with one of"):
        list(iter_expressions([{"Get": "Nowhere.X"}]))


def test_outputs_are_named_by_property_paths() -> None:
    assert parse_property_path("Steps.Train.ModelArtifacts.S3ModelArtifacts") == StepReference(
        "Train", ("ModelArtifacts", "S3ModelArtifacts")
    )
    assert parse_property_path("Steps.E.PropertyFiles.Metrics") == StepReference("E", ("PropertyFiles", "Metrics"))
    with pytest.raises(DefinitionError, match="is not a step property"):
        parse_property_path("Parameters.X")
    with pytest.raises(DefinitionError, match="must name a property of the step"):
        parse_property_path("Steps.Train")
