"""What the service would refuse is refused with its place."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_sm_pipelines.exceptions import MigrationError
from tests.migrate.stepfunctions.machines import function, machine, read

PASS = {"Type": "Pass", "End": True}


def nest(depth: int) -> dict[str, Any]:
    inner = machine(A=PASS)
    for level in range(depth):
        inner = machine(**{f"P{level}": {"Type": "Parallel", "Branches": [inner], "End": True}})
    return inner


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        ({"StartAt": "A"}, "m.asl.json:1:1: the machine has no States."),
        ({"States": {"A": PASS}}, "m.asl.json:1:1: the machine has no StartAt"),
        (machine("B", A=PASS), "m.asl.json:2:13: no state is called 'B'."),
        (machine(A={"Type": "Pass", "Next": "Bb"}, B=PASS), "'A' leads to 'Bb', but no state is called so."),
        (machine(A=PASS, B=PASS), "m.asl.json:8:8: no state leads to 'B'; the service refuses that."),
        (machine(A={"Type": "Task", "Resource": "r"}), "the state 'A' has neither Next nor End."),
        (machine(A={"Type": "Loop", "End": True}), "the state 'A' has the Type 'Loop'; those are"),
        (machine(A={"Type": "Choice"}), "the state 'A' has no Choices."),
        (machine(A={"Type": "Parallel", "End": True}), "the state 'A' has no Branches."),
        (machine(A=[]), "the state 'A' is no object."),
        (machine(A={"Type": "Task", "End": True}), "the state 'A' has no Resource"),
        (machine(**{"N" * 500: PASS}), "m.asl.json:4:507: the name of this state has 500 characters"),
        (machine(A=function(Catch={"Next": "A"})), "the Catch of the state 'A' is no list of objects."),
        (machine(A=function(Retry=[3])), "the Retry of the state 'A' is no list of objects."),
        (f"StartAt: A\nStates:\n  A: {PASS}\n  A: {PASS}\n", "m.asl.json:4:3: the key 'A' occurs twice here."),
        ("StartAt: A\nStates: &s\n  A: *s\n", "m.asl.json:1:1: this holds more than 200000 values."),
        (nest(30), "states stand more than 20 deep in each other."),
        (
            machine(A={"Type": "Parallel", "Branches": [machine(A=PASS)], "End": True}),
            "the name 'A' is taken by the state at",
        ),
        (
            machine(**{f"S{n}": {"Type": "Pass", "Next": f"S{n + 1}"} for n in range(10_000)}, S10000=PASS),
            "the machine has 10001 states; more than 400 are not read.",
        ),
        ('{"StartAt": "A", "States": {"A": {"Type": "Pass"', "m.asl.json:1:49: this is not JSON"),
        ('{"StartAt": "A",\n "States": {"A": {}, "A": {}}}', "m.asl.json:2:22: the key 'A' occurs twice"),
        ("[1, 2]", "m.asl.json:1:1: this holds no state machine"),
        ("a: &a [x, x]\nb: &b [*a, *a]\n", "m.asl.json:1:1: this holds no state machine"),
        ("StartAt: !!python/object/apply:os.system [id]\nStates: {}\n", "m.asl.json:1:10: this is not YAML"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_it_is_refused(document: Any, problem: str) -> None:
    with pytest.raises(MigrationError) as refused:
        read(document)
    assert problem in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_yaml_bomb_is_refused_soon() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    began = time.monotonic()
    with pytest.raises(MigrationError, match="holds more than 200000 values"):
        read("\n".join(lines))
    assert time.monotonic() - began < 10


def test_names_of_any_kind_become_names_of_tasks() -> None:
    found = read(machine(**{"é 🙂 " * 20: function(Next="🙂"), "🙂": function()}))
    assert [node.name for node in found.workflow.nodes] == ["step", "step-2"]
