"""The blocks of a machine against the machine: the same tasks and the same end, whatever is chosen or fails.

Both are walked by slow, obvious interpreters over made-up machines that jump from anywhere to anywhere further down.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import CallNode, ChoiceNode, MissingNode, PipelineStepNode, TryNode
from tests.migrate.stepfunctions.machines import function, machine, outcomes, read

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate import Workflow

MAX_STATES = 9


@st.composite
def machines(draw: st.DrawFn) -> dict[str, Any]:
    """A machine whose states lead to later ones only; each Choice tests a member of its own."""
    count = draw(st.integers(2, MAX_STATES))
    states: dict[str, Any] = {}
    for index in range(count):
        later = [f"S{other}" for other in range(index + 1, count)]

        def target(names: list[str] = later) -> str:
            return str(draw(st.sampled_from(names)))

        kind = draw(st.sampled_from(["task", "task", "caught", "choice", "fail", "pass"])) if later else "last"
        following = {"Next": target()} if later and draw(st.integers(0, 5)) else {}
        if kind == "choice":
            rules = draw(st.integers(1, 3))
            choices = [{"Variable": f"$.c{index}", "NumericEquals": n, "Next": target()} for n in range(rules)]
            default = {"Default": target()} if draw(st.booleans()) else {}
            states[f"S{index}"] = {"Type": "Choice", "Choices": choices, **default}
        elif kind == "fail":
            states[f"S{index}"] = {"Type": "Fail", "Cause": "no"}
        elif kind == "pass":
            states[f"S{index}"] = {"Type": "Pass", **(following or {"End": True})}
        else:
            catcher = {"ErrorEquals": ["States.ALL"], "ResultPath": None}
            caught = {"Catch": [{**catcher, "Next": target()}]} if kind == "caught" else {}
            states[f"S{index}"] = function(Parameters={}, ResultPath=None, **following, **caught)
    return _reachable(machine(**states))


def _reachable(document: dict[str, Any]) -> dict[str, Any]:
    reached, left = set[str](), ["S0"]
    while left:
        name = left.pop()
        if name not in reached:
            reached.add(name)
            left += [target for target in _targets(document["States"][name]) if target]
    return {**document, "States": {name: body for name, body in document["States"].items() if name in reached}}


def _targets(state: dict[str, Any]) -> list[str]:
    rules = [rule["Next"] for rule in state.get("Choices", [])] + [one["Next"] for one in state.get("Catch", [])]
    return [*rules, state.get("Next", ""), state.get("Default", "")]


class BrokenError(Exception):
    """The machine, or the workflow, has failed."""


def walk_machine(document: dict[str, Any], chosen: dict[str, int], failing: set[str]) -> tuple[list[str], bool]:
    """The tasks that a machine runs, and whether it succeeds."""
    done, name = [], "S0"
    while name:
        state = document["States"][name]
        if state["Type"] == "Fail":
            return done, False
        if state["Type"] == "Choice":
            ways = [rule["Next"] for rule in state["Choices"] if rule["NumericEquals"] == chosen[f"c{name[1:]}"]]
            name = ways[0] if ways else state.get("Default", "")
            if not name:
                return done, False
            continue
        if state["Type"] == "Task":
            done.append(name)
            if name in failing:
                if "Catch" not in state:
                    return done, False
                name = state["Catch"][0]["Next"]
                continue
        name = state.get("Next", "")
    return done, True


def walk_workflow(workflow: Workflow, chosen: dict[str, int], failing: set[str]) -> tuple[list[str], bool]:
    """The tasks that a workflow's blocks run, and whether they succeed."""
    done: list[str] = []
    try:
        _walk(workflow.nodes, chosen, failing, done)
    except BrokenError:
        return done, False
    return done, True


def _walk(nodes: Any, chosen: dict[str, int], failing: set[str], done: list[str]) -> None:
    ended: set[str] = set()
    for node in nodes:
        assert {one.step for one in node.after} <= ended
        if isinstance(node, CallNode):
            done.append(node.source.split()[0].removeprefix("States."))
            if done[-1] in failing:
                raise BrokenError
        elif isinstance(node, ChoiceNode):
            taken = next(one for one in node.branches if all(_holds(test, chosen) for test in one.conditions))
            _walk(taken.nodes, chosen, failing, done)
        elif isinstance(node, TryNode):
            try:
                _walk(node.nodes, chosen, failing, done)
            except BrokenError:
                _walk(node.handler, chosen, failing, done)
            else:
                _walk(node.otherwise, chosen, failing, done)
        else:
            assert isinstance(node, PipelineStepNode)
            raise BrokenError
        ended.add(node.name)


def _holds(test: Any, chosen: dict[str, int]) -> bool:
    if test["Type"] == "Not":
        return not _holds(test["Condition"], chosen)
    if test["Type"] == "Or":
        return any(_holds(one, chosen) for one in test["Conditions"])
    return bool(chosen[test["LeftValue"]["Get"].removeprefix("Input.")] == test["RightValue"])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(machines(), st.data())
def test_blocks_do_what_the_machine_does(document: dict[str, Any], data: st.DataObject) -> None:
    with suppress(MigrationError):  # the branches cross too often
        compare(document, data)


def compare(document: dict[str, Any], data: st.DataObject) -> None:
    """Hold the workflow of a machine to the machine, for some inputs and failures."""
    found = read(document)
    assert set(outcomes(found)) == set(document["States"])
    for _ in range(4):
        chosen = {f"c{index}": data.draw(st.integers(0, 3)) for index in range(MAX_STATES)}
        failing = data.draw(st.sets(st.sampled_from([f"S{index}" for index in range(MAX_STATES)]), max_size=3))
        assert walk_workflow(found.workflow, chosen, failing) == walk_machine(document, chosen, failing)


def test_branches_that_cross_too_often_are_refused_by_name() -> None:
    states: dict[str, Any] = {}
    for level in range(8):
        for side in "ab":
            ways = [{"Variable": "$.n", "NumericEquals": n, "Next": f"{to}{level + 1}"} for n, to in enumerate("ab")]
            states[f"{side}{level}"] = {"Type": "Choice", "Choices": ways, "Default": f"t{level}"}
            states[f"t{level}"] = function(Parameters={}, Next=f"a{level + 1}")
    states["a8"] = states["b8"] = function(Parameters={})
    states["a8"] = function(Parameters={})
    with pytest.raises(MigrationError, match="cross so often that too many states would be copied"):
        read(_from_a0(states))


def _from_a0(states: dict[str, Any]) -> dict[str, Any]:
    start = {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "b0"}], "Default": "a0"}
    return machine(S=start, **states)


def test_nothing_is_left_out_of_a_circle() -> None:
    (node, last) = read(
        machine(A=function(Parameters={}, Next="B"), B=function(Parameters={}, Next="C"), C={
            "Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 1, "Next": "A"}], "Default": "D",
        }, D=function(Parameters={}))
    ).workflow.nodes  # fmt: skip
    assert isinstance(node, MissingNode)
    assert [one.step for one in last.after] == [node.name]
