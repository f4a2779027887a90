"""The verdict on a run: calls, order and end, and what on the closed list of docs/migration.md may differ."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_sm_pipelines.comparison.judge import judge
from airflow_sm_pipelines.comparison.traces import Event, Trace

A = Event("A", "sns publish", {"Message": "a"}, task="A")
B = Event("B", "sqs send_message", {"MessageBody": "b"}, task="B")


def compare(
    machine: list[Event], dag: list[Event], *, ends: tuple[str, str] = ("success", "success"), **groups: str
) -> str:
    """Judge two lists of events."""
    return judge(Trace(machine, ends[0]), Trace(dag, ends[1]), groups)


def test_equal_runs_do_not_differ() -> None:
    assert compare([A, B], [A, B]) == ""


@pytest.mark.parametrize(
    ("dag", "problem"),
    [
        ([A], "State B: the machine makes a call of sqs send_message, and no task of the DAG does."),
        ([A, B, replace(B, task="C")], "Task C: the DAG makes a call of sqs send_message, and the machine does not."),
        ([B, A], "Task B runs before A; in the machine A is before B."),
        (
            [A, replace(B, given={"MessageBody": "c"})],
            "State B, task B: MessageBody: 'b' in the machine, 'c' in the DAG.",
        ),
        (
            [A, replace(B, what="sqs purge_queue")],
            "State B: the machine makes a call of sqs send_message, and its task",
        ),
    ],
    ids=["a call is missing", "a call too many", "another order", "another request", "another call"],
)
def test_a_difference_is_said_with_state_and_task(dag: list[Event], problem: str) -> None:
    assert compare([A, B], dag).startswith(problem)


def test_another_end_differs() -> None:
    assert compare([A], [A], ends=("failed", "success")) == "The machine fails (), and the DAG succeeds."


@pytest.mark.parametrize(("places", "is_free"), [(("0/1", "0/2"), True), (("0/1", "3/4"), False)], ids=str)
def test_branches_beside_each_other_have_no_order(places: tuple[str, str], is_free: bool) -> None:
    machine = [replace(A, place=(places[0],)), replace(B, place=(places[1],))]
    assert (compare(machine, [B, A]) == "") is is_free


def test_items_go_on_when_another_one_fails() -> None:
    failed, other = replace(A, is_failure=True, place=("0/0",)), replace(A, task="A")
    assert compare([failed], [other, other], A="Each") == ""
    assert "the machine does not" in compare([failed], [other, other])
    assert "the machine does not" in compare([replace(failed, is_failure=False)], [other, other], A="Each")


@pytest.mark.parametrize(
    ("machine", "dag", "is_equal"),
    [(5, "5", True), (5, 5.0, True), (5, "6", False), (1234.5, "2027-01-01T00:00:00Z", True)],
    ids=["text", "number", "other", "until a moment"],
)
def test_waits_are_compared_in_seconds(machine: Any, dag: Any, is_equal: bool) -> None:
    one, other = Event("W", "wait", machine), Event("W", "wait", dag, task="W")
    assert (compare([one], [other]) == "") is is_equal
