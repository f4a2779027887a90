"""Which runs are made: each branch of each choice and each failing task once, and what no run reaches is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_sm_pipelines.comparison.comparison import prepare_comparison
from airflow_sm_pipelines.documents import Variables
from airflow_sm_pipelines.migrate.stepfunctions import find_machines, read_machine
from tests.migrate.stepfunctions.machines import FUNCTION, function, machine, task

pytest.importorskip("antlr4", reason="moto's interpreter needs what the extra 'compare' brings: run make setup")


def choose(document: Any, *samples: Any) -> tuple[list[dict[str, Any]], Any]:
    """The scripts for a machine, and the comparison with a DAG that does nothing."""
    variables = Variables(())
    (held,) = find_machines(json.dumps(document).encode(), name="m.json", variables=variables, read=lambda _: None)
    migration = read_machine(held, name="m", origin="m.json", variables=variables)
    prepared = prepare_comparison(held, migration, variables=variables, samples=samples)
    ended = [{"events": [], "end": "success", "states": {}} for _ in prepared.scripts]
    return prepared.scripts, prepared.judge({"runs": ended, "before": {}, "files": {"m.py": ""}})


def pick(*rules: dict[str, Any], default: str = "C") -> dict[str, Any]:
    """A machine that asks a function and chooses by its answer."""
    choices = [{**rule, "Next": target} for rule, target in zip(rules, "ABDE", strict=False)]
    targets = {rule["Next"]: function() for rule in choices} | {default: function()}
    ask = task("arn:aws:states:::lambda:invoke", {"FunctionName": FUNCTION}, Next="Choose")
    return machine(Ask=ask, Choose={"Type": "Choice", "Choices": choices, "Default": default}, **targets)


@pytest.mark.parametrize(
    "rules",
    [
        [{"Variable": "$.Payload.n", "NumericGreaterThan": 3}, {"Variable": "$.Payload.n", "NumericEquals": 3}],
        [{"Variable": "$.Payload.a.b", "StringEquals": "x"}, {"Variable": "$.Payload.c", "BooleanEquals": False}],
        [{"And": [{"Variable": "$.Payload.a", "StringEquals": "x"}, {"Variable": "$.Payload.b", "StringEquals": "y"}]}],
        [{"Not": {"Variable": "$.Payload.a", "IsPresent": True}}],
        [{"Variable": "$.Payload.a", "StringMatches": "run-*"}],
    ],
    ids=["numbers", "members", "and", "absent", "pattern"],
)
def test_each_way_of_a_choice_is_reached(rules: list[dict[str, Any]]) -> None:
    scripts, comparison = choose(pick(*rules))
    assert comparison.unreached == ()
    assert len(scripts) <= 2 * (len(rules) + 2)
    failing = {name for run in comparison.runs for name in run.failing}
    assert failing == {"Ask", "C", *"AB"[: len(rules)]}


def test_what_no_run_reaches_is_said() -> None:
    document = pick(
        {"Variable": "$.Payload.n", "NumericGreaterThan": 3}, {"Variable": "$.Payload.n", "NumericGreaterThan": 9}
    )
    document["States"]["Choose"]["Choices"].reverse()
    document["States"]["Choose"]["Choices"].append(
        {"Variable": "$.Payload.n", "NumericGreaterThan": 50, "Next": "Never"}
    )
    document["States"]["Never"] = function()
    _, comparison = choose(document)
    assert list(comparison.unreached) == ["the way of Choose to Never", "the state Never"]


def test_a_repeated_call_is_answered_twice() -> None:
    look = task("arn:aws:states:::aws-sdk:glue:getJobRun", {"JobName": "j", "RunId": "r"}, Next="Done?")
    done = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.JobRun.JobRunState", "StringEquals": "SUCCEEDED", "Next": "End"}],
    }
    scripts, comparison = choose(
        machine(
            Look=look,
            **{"Done?": {**done, "Default": "Wait"}},
            Wait={"Type": "Wait", "Seconds": 5, "Next": "Look"},
            End=function(),
        )
    )
    states = [[one["answer"]["JobRun"]["JobRunState"] for one in script["answers"]["Look"]] for script in scripts]
    assert ["not-SUCCEEDED", "SUCCEEDED"] in states
    assert comparison.unreached == ()


def test_a_call_whose_answer_must_exist_and_have_a_member_ends() -> None:
    there = {"Variable": "$.found", "IsPresent": True}
    good = {"Variable": "$.found.JobRun.JobRunState", "StringEquals": "SUCCEEDED"}
    look = task(
        "arn:aws:states:::aws-sdk:glue:getJobRun", {"JobName": "j", "RunId": "r"}, ResultPath="$.found", Next="Done?"
    )
    _, comparison = choose(
        machine(
            Look=look,
            **{"Done?": {"Type": "Choice", "Choices": [{"And": [there, good], "Next": "End"}], "Default": "Wait"}},
            Wait={"Type": "Wait", "Seconds": 5, "Next": "Look"},
            End=function(),
        )
    )
    assert comparison.unreached == ()


def test_each_sample_input_is_a_run() -> None:
    document = machine(A=function(Parameters={"x.$": "$.x"}))
    scripts, _ = choose(document, {"x": "one"}, {"x": "two"})
    assert [one["input"]["x"] for one in scripts] == ["one", "one", "two"]
