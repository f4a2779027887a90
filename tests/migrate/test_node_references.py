"""A workflow that no plan can be made of is refused, with the node and its place in the source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate import LoopNode, TryNode, make_package
from tests.migrate.workflows import call, choice, get, migration, step

if TYPE_CHECKING:
    from airflow_sm_pipelines.migrate.workflow import Node


@pytest.mark.parametrize(
    ("nodes", "problem"),
    [
        ((step("A", "B"), step("B", "A")), "States.A (A): these nodes wait for each other: A → B → A."),
        ((call("A", "C"), call("B", "A"), call("C", "B")), "these nodes wait for each other: A → C → B → A."),
        ((step("A"), step("A")), "the name 'A' is taken by States.A"),
        ((step("A"), step("B", "Aa")), "States.B (B): it waits for 'Aa', but no node is called so. Did you mean 'A'?"),
        ((step("A", x=get("Steps.Nope.Arn")),), "it refers to 'Steps.Nope.Arn', but no node is called 'Nope'."),
        ((call("A", x=get("Tasks.Nope.Arn")),), "it refers to 'Tasks.Nope.Arn', but no node is called 'Nope'."),
        ((call("A", x=get("Parameters.nope")),), "but the workflow has no parameter 'nope'."),
        ((step("A", x=get("Parameters.nope")),), "but the workflow has no parameter 'nope'."),
        ((call("A", x=get("ForEach.CurrentItem")),), "but it stands in no loop."),
        ((call("A", x=get("Nothing.at.all")),), "which begins with none of"),
        ((call("A"), step("B", x=get("Steps.A.Arn"))), "but 'A' is no pipeline step."),
        ((step("A"), call("B", x=get("Errors.A.Cause"))), "but 'A' is no work whose failure is handled."),
        ((call("A", x={"Std:Function": {"Name": "eval", "Arguments": []}}),), "there is no function 'eval'"),
        (
            (choice("C", ways={"1": (step("A"),), "else": ()}, value=1), call("B", "A")),
            "it waits for 'A', which stands inside another node",
        ),
        (
            (step("A"), step("H", "A:Failed"), step("Next", "A", "H")),
            "States.Next (Next): it waits both for 'H', which runs after a failure, and for the node that may fail",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_it_is_refused(nodes: tuple[Node, ...], problem: str) -> None:
    with pytest.raises(MigrationError) as refused:
        make_package(migration(*nodes))
    assert problem in str(refused.value)


def test_what_stands_in_loops_and_handlers_may_refer_outwards() -> None:
    loop = LoopNode("Each", "States.Each", [1], (step("In", x=get("ForEach.CurrentItem")),))
    handled = TryNode("Try", "States.Try", (step("Work"),), (call("Tell", x=get("Errors.Try.Cause")),))
    make_package(migration(loop, handled, step("Last", "Each", "Try")))
