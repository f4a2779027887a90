"""A workflow cut into pipelines and tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.migrate import LoopNode
from airflow_sm_pipelines.migrate.dag_plan.units import ChoiceUnit, PipelineUnit, split_into_units
from tests.migrate.workflows import after, call, choice, fail, get, score_of, step

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate.dag_plan.units import Unit
    from airflow_sm_pipelines.migrate.workflow import Node


def shape(units: tuple[Unit, ...]) -> list[Any]:
    """Give units as: a list of steps, the name of a task, or a choice with its ways."""
    found: list[Any] = []
    for unit in units:
        if isinstance(unit, PipelineUnit):
            found.append([node.name for node in unit.nodes])
        elif isinstance(unit, ChoiceUnit):
            found.append({unit.name: [shape(inner) for _, inner in unit.branches]})
        else:
            found.append(unit.name)
    return found


LOOP_BODY = (choice("Test", ways={"0.9": (step("Inner"),), "else": ()}, value=get("ForEach.CurrentItem")),)


@pytest.mark.parametrize(
    ("nodes", "units"),
    [
        pytest.param((step("A"), step("B", "A"), step("C", "A")), [["A", "B", "C"]], id="steps are one pipeline"),
        pytest.param(
            (step("A"), call("Tell", "A"), step("B", "Tell")), [["A"], "Tell", ["B"]], id="a task between cuts them"
        ),
        pytest.param(
            (step("A"), call("Tell", "A"), step("B", "A"), step("C", "B", "Tell")),
            [["A", "B"], "Tell", ["C"]],
            id="what does not wait for the task stays with the first",
        ),
        pytest.param((step("A"), step("B")), [["A"], ["B"]], id="steps that have nothing in common are two"),
        pytest.param(
            (step("A"), call("Tell", text=score_of("A"))), [["A"], "Tell"], id="a reference is waited for like a word"
        ),
        pytest.param(
            (call("Ask"), step("A", text=get("Tasks.Ask.MessageId")), call("Tell", "Ask")),
            ["Ask", ["A"], "Tell"],
            id="a task's answer is waited for",
        ),
        pytest.param(
            (step("A"), choice("C", "A", ways={"0.9": (step("B"),), "else": (fail("F"),)})),
            [["A", "C"]],
            id="a choice between steps is a step",
        ),
        pytest.param(
            (step("A"), choice("C", "A", ways={"0.9": (call("Tell"), step("B", "Tell")), "else": (fail("F"),)})),
            [["A"], {"C": [["Tell", ["B"]], ["F"]]}],
            id="a choice with a task is made in Airflow",
        ),
        pytest.param(
            (choice("C", ways={"0.9": (step("A"),), "else": (step("B"),)}), step("Next", "C", score=score_of("A"))),
            [{"C": [[["A"]], [["B"]]]}, ["Next"]],
            id="a choice that something follows is made in Airflow",
        ),
        pytest.param(
            (LoopNode("Each", "States.Each", [1, 2], (step("A"),)),), [["Each"]], id="a loop over steps is a step"
        ),
        pytest.param(
            (LoopNode("Each", "States.Each", [1, 2], LOOP_BODY),), [["Test"]], id="a loop over choices has a pipeline"
        ),
        pytest.param(
            (LoopNode("Each", "States.Each", [1, 2], (call("Tell"),)),), ["Each"], id="a loop over tasks is missing"
        ),
    ],
)
def test_a_workflow_is_cut_so_that(nodes: tuple[Node, ...], units: list[Any]) -> None:
    assert shape(split_into_units(nodes)) == units


def test_a_handler_waits_for_the_failure_of_the_pipeline() -> None:
    units = split_into_units((step("A"), step("B", "A"), call("Handler", "A:Failed", "B:Failed"), call("Next", "B")))
    assert [[(up.unit, up.trigger) for up in unit.upstream] for unit in units] == [
        [],
        [("A", "Failed")],
        [("A", "Completed")],
    ]


def test_a_unit_stands_after_what_it_waits_for() -> None:
    units = split_into_units((step("A"), call("Tell", "A"), step("B", "Tell"), step("C", "A"), call("Last", "B", "C")))
    seen: set[str] = set()
    for unit in units:
        assert {up.unit for up in unit.upstream} <= seen
        seen.add(unit.name)
    assert after("A") == after("A:Completed")
