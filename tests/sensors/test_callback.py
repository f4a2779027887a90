"""Callback steps on the real local endpoint: the message is received once, the answer counts once."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.models.crypto import get_fernet

from airflow_sm_pipelines import SageMakerAnswerCallbackOperator, SageMakerPipelineCallbackSensor
from airflow_sm_pipelines.airflow_names import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow_sm_pipelines.airflow_task.token_sealing import open_token, seal_token
from airflow_sm_pipelines.client.callbacks import CallbackMessage
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.sensors import callback as callback_module
from airflow_sm_pipelines.triggers import base as base_module
from airflow_sm_pipelines.triggers.callback import SageMakerPipelineCallbackTrigger
from tests.airflow_fakes import fernet_key_of_airflow
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

if TYPE_CHECKING:
    from collections.abc import Iterator

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


@pytest.fixture
def queue(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A queue, and a pipeline of the same name with one Callback step; this process's boto3 talks to them."""
    variables = {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "local", "SECRET_ACCESS_KEY": "local"}
    for name, value in {**variables, "DEFAULT_REGION": "us-east-1"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    name = request.node.name.replace("_", "-").split("[")[0][:60] + ("-d" if "deferred" in request.node.name else "")
    queue_url: str = boto3.client("sqs").create_queue(QueueName=name)["QueueUrl"]
    step = {
        "Name": "Ask",
        "Type": "Callback",
        "SqsQueueUrl": queue_url,
        "Arguments": {"number": 7},
        "OutputParameters": [{"OutputName": "rows", "OutputType": "Integer"}],
    }
    boto3.client("sagemaker").create_pipeline(
        PipelineName=name, RoleArn=ROLE, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": [step]})
    )
    return queue_url


def start(queue: str) -> str:
    name = queue.rpartition("/")[2]
    arn: str = boto3.client("sagemaker").start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    return arn


def ended(arn: str) -> Any:
    calls = SessionCalls(boto3.Session())
    deadline = time.monotonic() + 30
    while not (report := calls.describe_execution(arn)).is_terminal:
        assert time.monotonic() < deadline
        threading.Event().wait(0.05)
    return boto3.client("sagemaker").list_pipeline_execution_steps(PipelineExecutionArn=arn)[
        "PipelineExecutionSteps"
    ], report.status


def receive(
    queue: str, store: FakeTaskStateStore, *, deferrable: bool, try_number: int = 1, **kwargs: Any
) -> dict[str, Any]:
    sensor = SageMakerPipelineCallbackSensor(
        **{"task_id": "asked", "queue_url": queue, "aws_conn_id": None, "poke_interval": 0.1, "timeout": 20, **kwargs},
        deferrable=deferrable,
    )
    context = make_context(FakeTaskInstance(try_number=try_number), store=store)
    try:
        found = sensor.execute(context)
    except TaskDeferred as deferred:
        path, arguments = deferred.trigger.serialize()
        assert path.endswith("SageMakerPipelineCallbackTrigger")

        trigger = type(deferred.trigger)(**json.loads(json.dumps(arguments)))

        async def first() -> Any:
            return await anext(trigger.run())

        event = asyncio.run(asyncio.wait_for(first(), 30))
        assert event.payload.get("token", "sealed:").startswith("sealed:") or not get_fernet().is_encrypted
        found = sensor.resume_execution(deferred.method_name, {"event": event.payload}, context)
    assert isinstance(found, dict)
    return found


def answer(token: str, **kwargs: Any) -> str:
    operator = SageMakerAnswerCallbackOperator(task_id="answer", aws_conn_id=None, token=token, **kwargs)
    return operator.execute({})


@pytest.fixture
def fernet_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow has a key, as after its first start."""
    with fernet_key_of_airflow(monkeypatch):
        yield


@pytest.mark.usefixtures("fernet_key")
@pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferred"])
def test_a_message_of_the_execution_is_received_and_answered(queue: str, deferrable: bool) -> None:
    other, mine = start(queue), start(queue)
    store = FakeTaskStateStore()
    found = receive(queue, store, deferrable=deferrable, execution_arn=mine)
    assert (found["execution_arn"], found["arguments"]) == (mine, {"number": 7})
    assert found["token"].startswith("sealed:")
    assert list(store.values.values()) == [found]
    assert answer(found["token"], outputs={"rows": 12}) == mine
    steps, status = ended(mine)
    assert status == "Succeeded"
    assert steps[0]["Metadata"]["Callback"]["OutputParameters"] == [{"Name": "rows", "Value": "12"}]

    # The same answer again, as a retry sends it, is the same answer; the other execution's message is still there.
    assert answer(found["token"], outputs={"rows": 12}) == mine
    rest = receive(queue, FakeTaskStateStore(), deferrable=deferrable)
    assert rest["execution_arn"] == other
    answer(rest["token"], success="False", failure_reason="No.")
    steps, status = ended(other)
    assert (status, steps[0]["FailureReason"]) == ("Failed", "No.")


@pytest.mark.usefixtures("fernet_key")
def test_a_deferred_task_keeps_the_message_that_its_trigger_has_received_and_takes_it_from_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    deleted: list[tuple[str, CallbackMessage]] = []
    monkeypatch.setattr(callback_module, "delete_callback", lambda _, url, message: deleted.append((url, message)))
    sensor = SageMakerPipelineCallbackSensor(task_id="asked", queue_url="url", aws_conn_id=None)
    store = FakeTaskStateStore()
    message = CallbackMessage(token="abcdefghij", execution_arn="arn", arguments={"number": 7}, receipt="receipt")
    sealed = seal_token(message.token)
    event = {"kind": "message", **message.to_json(), "token": sealed}
    found = sensor.execute_complete(make_context(store=store), event)
    assert (found["execution_arn"], found["arguments"]) == ("arn", {"number": 7})
    assert open_token(found["token"]) == message.token
    assert list(store.values.values()) == [found]
    ((url, taken),) = deleted
    assert (url, taken.receipt) == ("url", "receipt")


@pytest.mark.parametrize(
    ("event", "named"),
    [(None, "no message"), ({"kind": "timeout", "seen": None}, "no message"), ({"kind": "timeout", "seen": "x"}, "x")],
)
def test_a_deferred_wait_that_is_over_says_what_it_last_saw(event: dict[str, Any] | None, named: str) -> None:
    sensor = SageMakerPipelineCallbackSensor(task_id="asked", queue_url="url", aws_conn_id=None)
    with pytest.raises(AirflowSensorTimeout, match=named):
        sensor.execute_complete(make_context(), event)


def test_a_retry_has_the_message_again(queue: str) -> None:
    arn = start(queue)
    store = FakeTaskStateStore()
    first = receive(queue, store, deferrable=False, execution_arn=arn)
    assert receive(queue, store, deferrable=True, try_number=2, execution_arn=arn) == first
    answer(first["token"], outputs={"rows": 1})


def test_other_messages_are_left_in_the_queue(queue: str) -> None:
    boto3.client("sqs").send_message(QueueUrl=queue, MessageBody="not for us")
    for deferrable in (False, True):
        with pytest.raises(AirflowSensorTimeout):
            receive(queue, FakeTaskStateStore(), deferrable=deferrable, timeout=0.2)
    (message,) = boto3.client("sqs").receive_message(QueueUrl=queue, WaitTimeSeconds=1)["Messages"]
    assert message["Body"] == "not for us"


def test_a_deferred_task_is_not_woken_before_its_worker_has_left(queue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_module, "WORKER_LEAVES_SECONDS", 1.5)
    arn = start(queue)
    trigger = SageMakerPipelineCallbackTrigger(queue_url=queue, waiter_delay=0.1, aws_conn_id=None)
    trigger.task_instance = FakeTaskInstance()

    async def first() -> Any:
        return await anext(trigger.run())

    begun = time.monotonic()
    event = asyncio.run(asyncio.wait_for(first(), 30))
    assert event.payload["execution_arn"] == arn
    assert time.monotonic() - begun >= 1.5


def test_a_queue_that_is_not_there_fails_at_once_or_skips_softly(queue: str) -> None:
    for deferrable in (False, True):
        with pytest.raises(AirflowFailException, match="NonExistentQueue"):
            receive(f"{queue}-not", FakeTaskStateStore(), deferrable=deferrable)
        with pytest.raises(AirflowSkipException):
            receive(f"{queue}-not", FakeTaskStateStore(), deferrable=deferrable, soft_fail=True)


def test_no_message_in_time_skips_softly(queue: str) -> None:
    for deferrable in (False, True):
        with pytest.raises(AirflowSkipException):
            receive(queue, FakeTaskStateStore(), deferrable=deferrable, timeout=0.2, soft_fail=True)


def test_a_wrong_answer_is_refused_without_retries(queue: str) -> None:
    with pytest.raises(AirflowFailException, match="SendPipelineExecutionStepSuccess"):
        answer("nosuchtokn")
    with pytest.raises(AirflowFailException, match="success='maybe'"):
        answer("nosuchtokn", success="maybe")
