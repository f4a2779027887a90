"""A machine under moto's interpreter, with scripted answers: what it asks, in which order, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.comparison.machine_run import MachineRunner
from airflow_sm_pipelines.comparison.scripts import Answer
from airflow_sm_pipelines.exceptions import MigrationError
from tests.migrate.stepfunctions.machines import FUNCTION, function, machine, sagemaker, task

pytest.importorskip("antlr4", reason="moto's interpreter needs what the extra 'compare' brings: run make setup")


def run(document: Any, given: Any = None, **answers: Any) -> Any:
    """Run a machine; a state without an answer gets an empty one."""
    return MachineRunner(document).run(given or {}, lambda state, *_: answers.get(state, Answer({})))


def test_services_that_moto_has_not_are_asked() -> None:
    trained = Answer({"ModelArtifacts": {"S3ModelArtifacts": "s3://b/m"}})
    trace = run(
        machine(
            Train=sagemaker("createTrainingJob.sync", {"RoleArn.$": "$.role"}, ResultPath="$.trained", Next="Tell"),
            Tell=task("arn:aws:states:::sns:publish", {"Message.$": "$.trained.ModelArtifacts.S3ModelArtifacts"}),
        ),
        {"role": "r"},
        Train=trained,
    )
    asked = [("Train", {"RoleArn": "r"}), ("Tell", {"Message": "s3://b/m"})]
    assert [(one.state, one.given) for one in trace.events] == asked
    assert trace.end == "success"
    assert trace.entered == [(None, "Train"), ("Train", "Tell")]


def test_a_path_with_an_index_gives_one_value() -> None:
    given = {"one.$": "$.items[0].name", "all.$": "$.items[*].name"}
    trace = run(machine(A=function(Parameters=given)), {"items": [{"name": "a"}]})
    assert trace.events[0].given == {"one": "a", "all": ["a"]}


def test_jsonata_is_worked_out() -> None:
    state = task(
        "arn:aws:states:::sns:publish", None, Arguments={"Message": "{% 'n=' & $string($sum($states.input.n)) %}"}
    )
    trace = run({**machine(A=state), "QueryLanguage": "JSONata"}, {"n": [1, 2]})
    assert trace.events[0].given == {"Message": "n=3"}


@pytest.mark.parametrize(
    ("errors", "end"), [(["States.ALL"], "success"), (["States.TaskFailed"], "success"), (["Other"], "failed")], ids=str
)
def test_a_failure_is_retried_and_caught_by_its_name(errors: list[str], end: str) -> None:
    retry = [{"ErrorEquals": ["Mine"], "MaxAttempts": 2, "IntervalSeconds": 100}]
    trace = run(
        machine(
            A=function(Retry=retry, Catch=[{"ErrorEquals": errors, "Next": "H"}], Next="B"), B=function(), H=function()
        ),
        A=Answer(error="Mine", cause="why"),
    )
    assert [(one.state, one.is_failure) for one in trace.events[:3]] == [("A", True)] * 3
    assert [one.state for one in trace.events[3:]] == (["H"] if end == "success" else [])
    assert trace.end == end
    assert trace.error == ("" if end == "success" else "Mine")


def test_branches_and_items_say_where_they_are() -> None:
    branch = {
        "Type": "Parallel",
        "Branches": [machine(A=function()), machine(B={"Type": "Wait", "Seconds": 900, "End": True})],
    }
    each = {"Type": "Map", "ItemsPath": "$.n", "Iterator": machine(I=function()), "End": True}
    trace = run(machine(P={**branch, "ResultPath": None, "Next": "M"}, M=each), {"n": [1, 2]})
    first, second, *items = trace.events
    assert [first.what, second.what, second.given] == [FUNCTION, "wait", 900]
    assert first.place[0].partition("/")[0] == second.place[0].partition("/")[0]
    assert [one.given for one in items] == [1, 2]
    assert len({one.place for one in (first, second, *items)}) == 4


def test_a_machine_can_be_run_again_after_an_item_has_failed() -> None:
    each = {"Type": "Map", "ItemsPath": "$.n", "Iterator": machine(I=function()), "End": True}
    runner = MachineRunner(machine(M=each))
    failed = runner.run({"n": [1, 2, 3]}, lambda *_: Answer(error="Mine"))
    assert (failed.end, len(failed.events)) == ("failed", 1)
    assert runner.run({"n": [1, 2, 3]}, lambda *_: Answer({})).end == "success"


def test_what_moto_cannot_read_is_refused() -> None:
    with pytest.raises(MigrationError, match="moto's interpreter cannot read the machine"):
        MachineRunner(machine(A={"Type": "Task", "Resource": "nonsense", "End": True}))


def test_a_state_that_waits_for_a_token_has_one() -> None:
    message = {"QueueUrl": "q", "MessageBody": {"token.$": "$$.Task.Token"}}
    trace = run(machine(A=task("arn:aws:states:::sqs:sendMessage.waitForTaskToken", message)), {})
    assert (trace.end, len(trace.events)) == ("success", 1)
