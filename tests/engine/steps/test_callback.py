"""Callback steps: the message, the token that comes back, typed outputs, stop, and restart."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine import ServiceError
from tests.engine.fake_world import World, for_each, processing, wait_until

if TYPE_CHECKING:
    from pathlib import Path

QUEUE = "http://127.0.0.1:1/123456789012/approvals"
OUTPUTS = [
    {"OutputName": "decision", "OutputType": "String"},
    {"OutputName": "score", "OutputType": "Float"},
    {"OutputName": "count", "OutputType": "Integer"},
    {"OutputName": "sure", "OutputType": "Boolean"},
]
GIVEN = [
    {"Name": "decision", "Value": "yes"},
    {"Name": "score", "Value": "0.5"},
    {"Name": "count", "Value": "3"},
    {"Name": "sure", "Value": "true"},
]


def callback(name: str = "Ask", *, outputs: Any = (), **arguments: Any) -> dict[str, Any]:
    return {
        "Name": name,
        "Type": "Callback",
        "SqsQueueUrl": QUEUE,
        "OutputParameters": list(outputs),
        "Arguments": arguments,
    }


def wait_for_message(world: World, number: int = 1) -> dict[str, Any]:
    wait_until(lambda: len(world.messages) >= number)
    return world.messages[number - 1][1]


def succeed(world: World, token: str, outputs: Any = (), **request: Any) -> dict[str, Any]:
    return world.engine.call(
        "SendPipelineExecutionStepSuccess", {"CallbackToken": token, "OutputParameters": list(outputs), **request}
    )


def test_the_queue_gets_the_token_and_the_step_waits_for_it_and_gives_typed_outputs(world: World) -> None:
    use = {"Environment": {name: {"Get": f"Steps.Ask.OutputParameters['{name}']"} for name in ("decision", "count")}}
    world.create([callback(outputs=OUTPUTS, model={"Get": "Execution.PipelineName"}), processing("Use", arguments=use)])
    arn = world.start()
    message = wait_for_message(world)
    assert world.messages[0][0] == QUEUE
    token = message.pop("token")
    assert re.fullmatch("[a-zA-Z0-9]{10}", token)
    assert message == {"pipelineExecutionArn": arn, "arguments": {"model": "demo"}, "status": "Executing"}
    assert world.steps(arn)["Ask"]["Metadata"] == {"Callback": {"CallbackToken": token, "SqsQueueUrl": QUEUE}}
    assert world.statuses(arn) == {"Ask": "Executing"}
    assert succeed(world, token, GIVEN) == {"PipelineExecutionArn": arn}
    assert world.finish(arn) == "Succeeded"
    assert world.steps(arn)["Ask"]["Metadata"]["Callback"]["OutputParameters"] == GIVEN
    assert world.requests["Use"]["Environment"] == {"decision": "yes", "count": "3"}


def test_a_waiting_step_holds_no_worker(world: World) -> None:
    names = [f"Ask{number}" for number in range(30)]
    world.create([*[callback(name) for name in names], processing("Work")])
    arn = world.start()
    wait_until(lambda: world.statuses(arn).get("Work") == "Succeeded" and len(world.messages) == len(names))
    for _, message in world.messages:
        succeed(world, message["token"])
    assert world.finish(arn) == "Succeeded"


def test_a_failure_ends_the_step_with_the_reason(world: World) -> None:
    world.create([callback()])
    arn = world.start()
    token = wait_for_message(world)["token"]
    world.engine.call("SendPipelineExecutionStepFailure", {"CallbackToken": token, "FailureReason": "no approval"})
    assert world.finish(arn) == "Failed"
    assert world.steps(arn)["Ask"]["FailureReason"] == "no approval"


@pytest.mark.parametrize(
    ("outputs", "says"),
    [
        ([], "has no output 'decision'"),
        ([*GIVEN[:2], {"Name": "count", "Value": "three"}, GIVEN[3]], "Output 'count' is declared Integer"),
        ([*GIVEN, {"Name": "other", "Value": "x"}], "declares no output 'other'"),
    ],
    ids=["missing", "mistyped", "undeclared"],
)
def test_outputs_that_are_not_those_declared_are_refused_and_the_step_waits_on(
    world: World, outputs: Any, says: str
) -> None:
    world.create([callback(outputs=OUTPUTS)])
    arn = world.start()
    token = wait_for_message(world)["token"]
    with pytest.raises(ServiceError, match=says) as refused:
        succeed(world, token, outputs)
    assert refused.value.code == "ValidationException"
    assert world.statuses(arn) == {"Ask": "Executing"}
    succeed(world, token, GIVEN)
    assert world.finish(arn) == "Succeeded"


def test_a_token_works_once_and_an_unknown_one_never(world: World) -> None:
    world.create([callback()])
    arn = world.start()
    token = wait_for_message(world)["token"]
    idempotency = "c" * 32
    assert succeed(world, token, ClientRequestToken=idempotency) == {"PipelineExecutionArn": arn}
    assert succeed(world, token, ClientRequestToken=idempotency) == {"PipelineExecutionArn": arn}
    with pytest.raises(ServiceError, match="no longer waits"):
        succeed(world, token)
    with pytest.raises(ServiceError) as unknown:
        succeed(world, "0123456789")
    assert unknown.value.code == "ResourceNotFound"


@pytest.mark.parametrize(("operation", "ends"), [("Success", "Stopped"), ("Failure", "Failed")])
def test_a_stop_sends_a_second_message_and_waits_for_the_answer(world: World, operation: str, ends: str) -> None:
    world.create([callback(key="value")])
    arn = world.start()
    first = wait_for_message(world)
    world.engine.call("StopPipelineExecution", {"PipelineExecutionArn": arn})
    assert wait_for_message(world, 2) == {**first, "status": "Stopping"}
    assert world.describe(arn)["PipelineExecutionStatus"] == "Stopping"
    world.engine.call(f"SendPipelineExecutionStep{operation}", {"CallbackToken": first["token"]})
    assert world.finish(arn) == "Stopped"
    assert world.statuses(arn) == {"Ask": ends}


def test_a_queue_that_is_not_there_fails_the_step(world: World) -> None:
    world.broken_queues.add(QUEUE)
    arn, status = world.run([callback()])
    assert status == "Failed"
    assert "The specified queue does not exist" in world.steps(arn)["Ask"]["FailureReason"]


def test_a_callback_that_is_pending_survives_a_restart_and_is_not_sent_again(tmp_path: Path) -> None:
    first = World(tmp_path)
    first.open()
    first.create([callback()])
    arn = first.start()
    token = wait_for_message(first)["token"]
    first.engine.stop()
    second = World(tmp_path)
    second.open()
    succeed(second, token)
    assert second.finish(arn) == "Succeeded"
    assert second.messages == []
    assert second.steps(arn)["Ask"]["AttemptCount"] == 1
    second.engine.stop()


def test_each_iteration_of_a_for_each_step_has_a_token_of_its_own(world: World) -> None:
    item = {"Get": "ForEach.CurrentItem"}
    selector = {"Pick": "MaxBy", "Field": {"Get": "IterationOutput.Ask.OutputParameters['count']"}}
    world.create([for_each("Each", ["a", "b"], [callback(outputs=OUTPUTS[2:3], who=item)], Selector=selector)])
    arn = world.start()
    wait_until(lambda: len(world.messages) == 2)
    for _, message in world.messages:
        count = "7" if message["arguments"] == {"who": "b"} else "5"
        succeed(world, message["token"], [{"Name": "count", "Value": count}])
    assert world.finish(arn) == "Succeeded"
    assert world.steps(arn)["Each"]["Metadata"]["ForEach"]["Selector"] == {"StepName": "Ask", "Index": 1}
