"""What comes after a choice, moved into its branches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.migrate.dag_plan.steps_after_choice import ends_in_fail, move_steps_into_branches
from airflow_sm_pipelines.migrate.names import ClaimedNames
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, iter_nodes
from tests.migrate.workflows import after, call, choice, fail, get, score_of, step

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate.workflow import Node


def absorb(*nodes: Node) -> tuple[tuple[Node, ...], dict[str, str]]:
    """Give the block with its tails moved, and the copies."""
    names = ClaimedNames()
    for node in iter_nodes(nodes):
        names.claim(node.name)
    return move_steps_into_branches(nodes, names)


def ways_of(node: Node) -> list[list[str]]:
    """Give the names on each way of a choice."""
    assert isinstance(node, ChoiceNode)
    return [[inner.name for inner in branch.nodes] for branch in node.branches]


def test_the_one_way_that_goes_on_takes_in_what_follows() -> None:
    first, good = step("First"), step("Good")
    check = choice("Check", "First", ways={"0.9": (good,), "else": (fail("Bad"),)})
    block, copies = absorb(first, check, step("Next", "Check", score=score_of("Good")), step("Last", "Next"))
    assert [node.name for node in block] == ["First", "Check"]
    assert ways_of(block[1]) == [["Good", "Next", "Last"], ["Bad"]]
    taken = next(node for node in iter_nodes(block) if node.name == "Next")
    assert taken.after == (Dependency("Good"),)
    assert copies == {}


def test_an_empty_way_goes_on_after_what_the_choice_waited_for() -> None:
    check = choice("Check", "First", ways={"0.9": (), "else": (fail("Bad"),)})
    block, _ = absorb(step("First"), check, step("Next", "Check"))
    assert next(node for node in iter_nodes(block) if node.name == "Next").after == (Dependency("First"),)


def test_each_way_that_goes_on_gets_a_copy_that_refers_to_itself() -> None:
    check = choice("Check", ways={"0.9": (step("Good"),), "0.5": (), "else": (fail("Bad"),)})
    block, copies = absorb(check, step("Next", "Check"), step("Last", "Next", score=score_of("Next")))
    assert ways_of(block[0]) == [["Good", "Next", "Last"], ["Next-2", "Last-2"], ["Bad"]]
    assert copies == {"Next-2": "Next", "Last-2": "Last"}
    copy = next(node for node in iter_nodes(block) if node.name == "Last-2")
    assert copy.after == (Dependency("Next-2"),)
    assert copy.arguments == {"score": score_of("Next-2")}  # type: ignore[union-attr]


def test_choices_one_after_the_other_are_nested() -> None:
    one = choice("One", ways={"0.9": (step("A"),), "else": (fail("BadOne"),)})
    two = choice("Two", "One", ways={"0.5": (step("B"),), "else": (fail("BadTwo"),)})
    block, copies = absorb(one, two, step("End", "Two"))
    assert ways_of(block[0]) == [["A", "Two"], ["BadOne"]]
    inner = next(node for node in iter_nodes(block) if node.name == "Two")
    assert ways_of(inner) == [["B", "End"], ["BadTwo"]]
    assert copies == {}


@pytest.mark.parametrize(
    ("ways", "tail"),
    [
        pytest.param({"0.9": (step("A"),), "else": ()}, (call("Tell", "Check"),), id="a task follows"),
        pytest.param({"0.9": (call("A"),), "else": ()}, (step("Next", "Check"),), id="a task is on a way"),
        pytest.param(
            {"0.9": (step("A"),), "else": (step("B"),)},
            (step("Next", "Check", score=score_of("A")),),
            id="what one way made is read after both",
        ),
        pytest.param(
            {"0.9": (step("A"),), "else": ()},
            tuple(step(f"Next{number}", "Check") for number in range(41)),
            id="too much would be copied",
        ),
        pytest.param({"0.9": (fail("A"),), "else": (fail("B"),)}, (step("Next", "Check"),), id="no way goes on"),
    ],
)
def test_a_choice_is_left_as_it_is_where(ways: dict[str, tuple[Node, ...]], tail: tuple[Node, ...]) -> None:
    block = (choice("Check", ways=ways), *tail)
    assert absorb(*block) == (block, {})


def test_what_does_not_follow_the_choice_stays_where_it_is() -> None:
    check = choice("Check", "First", ways={"0.9": (), "else": (fail("Bad"),)})
    block, _ = absorb(step("First"), check, step("Beside", "First"), step("Next", "Check", one=score_of("Beside")))
    assert [node.name for node in block] == ["First", "Check", "Beside"]
    assert ways_of(block[1]) == [["Next"], ["Bad"]]


@pytest.mark.parametrize(
    ("nodes", "is_end"),
    [
        ((step("A"), fail("B", "A")), True),
        ((step("A"), fail("B", "A:Failed")), False),
        ((step("A"), step("Handler", "A:Failed"), fail("B", "Handler")), False),
        ((choice("C", ways={"0.9": (fail("A"),), "else": (fail("B"),)}),), True),
        ((choice("C", ways={"0.9": (fail("A"),), "else": ()}),), False),
        ((), False),
    ],
    ids=["a Fail", "a Fail after a failure", "a Fail after a handler", "each way fails", "one way fails", "nothing"],
)
def test_a_block_ends_the_workflow_with(nodes: tuple[Node, ...], is_end: bool) -> None:
    assert ends_in_fail(nodes) is is_end


def test_references_of_conditions_are_renamed_in_copies() -> None:
    inner = choice("Inner", "Next", ways={"0.1": (step("Deep"),), "else": ()}, value=score_of("Next"))
    check = choice("Check", ways={"0.9": (step("Good"),), "else": ()})
    block, _ = absorb(check, step("Next", "Check"), inner)
    copy = next(node for node in iter_nodes(block) if node.name == "Inner-2")
    assert isinstance(copy, ChoiceNode)
    assert copy.branches[0].conditions[0]["LeftValue"] == get("Steps.Next-2.OutputParameters['score']")
    assert copy.after == after("Next-2")
