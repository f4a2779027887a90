"""Who waits for whom, said or implied."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from airflow_sm_pipelines.definition import (
    Dependency,
    PipelineDefinition,
    Step,
    build_graph,
    parse_definition,
)
from airflow_sm_pipelines.exceptions import DefinitionError
from tests.definition.strategies import definitions

DATA = Path(__file__).parent.parent / "data" / "definitions"


def test_a_training_pipeline_is_ordered_by_its_references() -> None:
    graph = build_graph(parse_definition((DATA / "train_and_evaluate.json").read_text()))
    assert graph.order == ("Preprocess", "Train", "Evaluate", "CheckRmse", "Register-RegisterModel", "TooBad")
    assert graph.nodes["Evaluate"].upstream == (Dependency("Train"), Dependency("Preprocess"))
    assert graph.nodes["CheckRmse"].upstream == (Dependency("Evaluate"),)
    register = graph.nodes["Register-RegisterModel"]
    assert (register.parent, register.branch) == ("CheckRmse", "If")
    assert register.upstream == (Dependency("Train"),)
    assert register.waits_for == ("CheckRmse", "Train")
    assert graph.nodes["TooBad"].branch == "Else"
    assert graph.downstream("CheckRmse") == ("Register-RegisterModel", "TooBad")
    assert graph.downstream("TooBad") == ()


def test_triggers_bodies_and_cleanup_sources_make_edges() -> None:
    graph = build_graph(parse_definition((DATA / "fan_out.json").read_text()))
    assert "Score" not in graph.nodes
    assert graph.nodes["ScoreRegions"].upstream == (Dependency("Prepare"),)
    assert graph.nodes["TidyUp"].upstream == (Dependency("FineTune", "Any"),)
    assert graph.nodes["TellSomebody"].upstream == (
        Dependency("Prepare"),
        Dependency("FineTune", "Failed"),
        Dependency("ScoreRegions"),
    )
    assert graph.order == ("Prepare", "ScoreRegions", "FineTune", "TidyUp", "TellSomebody")


def test_a_cleanup_step_waits_for_its_sources_without_being_told() -> None:
    cleanup = Step("T", "Cleanup", arguments={"Resources": {"S3": [{"StepName": "A"}]}})
    graph = build_graph(PipelineDefinition(steps=(cleanup, Step("A", "Training"))))
    assert graph.order == ("A", "T")


def test_a_step_that_reads_a_condition_waits_for_the_decision_only() -> None:
    document: Any = {
        "Steps": [
            {"Name": "After", "Type": "Model", "Arguments": {"x": {"Get": "Steps.C.Outcome"}}},
            {
                "Name": "C",
                "Type": "Condition",
                "Arguments": {"Conditions": [], "IfSteps": [{"Name": "Slow", "Type": "Training"}]},
            },
        ]
    }
    graph = build_graph(parse_definition(document))
    assert graph.nodes["After"].waits_for == ("C",)
    assert graph.order == ("C", "After", "Slow")


def test_a_definition_made_in_python_is_checked_too() -> None:
    with pytest.raises(DefinitionError, match="depends on 'B', but no step is called so"):
        build_graph(PipelineDefinition(steps=(Step("A", "Training", depends_on=(Dependency("B"),)),)))
    steps = (Step("A", "X", depends_on=(Dependency("B"),)), Step("B", "X", depends_on=(Dependency("A"),)))
    with pytest.raises(DefinitionError, match="A → B → A"):
        build_graph(PipelineDefinition(steps=steps))


def test_thousands_of_steps_in_a_row_are_no_problem() -> None:
    count = 5000
    steps: list[Any] = [
        {"Name": f"S{index}", "Type": "Training", "Arguments": {"x": {"Get": f"Steps.S{index + 1}.X"}}}
        for index in range(count)
    ]
    steps.append({"Name": f"S{count}", "Type": "Training"})
    started = time.monotonic()
    graph = build_graph(parse_definition({"Steps": steps}))
    assert graph.order[0] == f"S{count}"
    assert graph.order[-1] == "S0"
    steps[-1]["DependsOn"] = ["S0"]
    with pytest.raises(DefinitionError, match="these steps wait for each other"):
        parse_definition({"Steps": steps})
    assert time.monotonic() - started < 20


@settings(max_examples=100, deadline=None)
@given(definitions())
def test_everything_comes_after_what_it_waits_for(document: dict[str, Any]) -> None:
    definition = parse_definition(document)
    graph = build_graph(definition)
    assert list(graph.nodes) == [step.name for step in definition.iter_steps()]
    assert sorted(graph.order) == sorted(graph.nodes)
    position = {name: index for index, name in enumerate(graph.order)}
    for name, node in graph.nodes.items():
        for upstream in node.waits_for:
            assert position[upstream] < position[name]
            assert name in graph.downstream(upstream)
