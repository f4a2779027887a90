"""Asset events from queues, on the real local endpoint: none lost, the token sealed, the API believed.

The whole way through a triggerer and a scheduler is in ``tests/system``.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from airflow.models import crypto
from cryptography.fernet import Fernet

from airflow_sm_pipelines import (
    SageMakerAnswerCallbackOperator,
    SageMakerPipelineCallbackEventTrigger,
    SageMakerPipelineExecutionEventTrigger,
    pipeline_events,
)
from airflow_sm_pipelines.airflow_names import AirflowFailException
from airflow_sm_pipelines.airflow_task.token_sealing import open_token, seal_token
from airflow_sm_pipelines.client.session_calls import SessionCalls
from airflow_sm_pipelines.triggers import queue_stream as queue_module
from tests.airflow_fakes import fernet_key_of_airflow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from airflow_sm_pipelines.triggers.asset_events import SageMakerQueueEventTrigger

ROLE = "arn:aws:iam::123456789012:role/SageMakerExecution"


@pytest.fixture(autouse=True)
def fernet_key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Airflow has a key, as after its first start."""
    with fernet_key_of_airflow(monkeypatch):
        yield


@pytest.fixture
def name(url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The name of a queue and of a pipeline with one Callback step that asks there."""
    for key, value in {"ENDPOINT_URL": url, "ACCESS_KEY_ID": "local", "SECRET_ACCESS_KEY": "local"}.items():
        monkeypatch.setenv(f"AWS_{key}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(queue_module, "WAIT_SECONDS", 1)
    short = request.node.name.removeprefix("test_").replace("_", "-")[:50].rstrip("-")
    queue = boto3.client("sqs").create_queue(QueueName=short)["QueueUrl"]
    outputs = [{"OutputName": "rows", "OutputType": "Integer"}]
    step = {"Name": "Ask", "Type": "Callback", "SqsQueueUrl": queue, "Arguments": {"n": 7}, "OutputParameters": outputs}
    boto3.client("sagemaker").create_pipeline(
        PipelineName=short, RoleArn=ROLE, PipelineDefinition=json.dumps({"Version": "2020-12-01", "Steps": [step]})
    )
    return short


def start(name: str) -> str:
    arn: str = boto3.client("sagemaker").start_pipeline_execution(PipelineName=name)["PipelineExecutionArn"]
    return arn


def send(name: str, body: Any) -> None:
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody=body if isinstance(body, str) else json.dumps(body))


def left(name: str) -> int:
    """Messages in the queue, hidden ones included."""
    sqs = boto3.client("sqs")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    queue = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    return sum(map(int, sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"].values()))


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        threading.Event().wait(0.02)


def again(trigger: SageMakerQueueEventTrigger) -> SageMakerQueueEventTrigger:
    """The trigger as the triggerer makes it from what the DAG file's was written as."""
    _, arguments = trigger.serialize()
    return type(trigger)(**json.loads(json.dumps(arguments)))


def fire(
    trigger: SageMakerQueueEventTrigger, count: int, *, then: Callable[[], bool] = lambda: True
) -> list[dict[str, Any]]:
    """The first events of a trigger as an older Airflow runs it, which goes on until the condition holds."""

    async def first() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []

        async def collect() -> None:
            async for event in again(trigger).run():
                found.append(event.payload)

        task = asyncio.create_task(collect())
        while len(found) < count or not await asyncio.to_thread(then):
            await asyncio.sleep(0.02)
        task.cancel()
        await asyncio.wait([task])
        return found

    return asyncio.run(asyncio.wait_for(first(), 30))


def status(arn: str) -> str:
    return SessionCalls(boto3.Session()).describe_execution(arn).status


def answer(token: Any, **kwargs: Any) -> str:
    return SageMakerAnswerCallbackOperator(task_id="answer", aws_conn_id=None, token=token, **kwargs).execute({})


def test_a_step_s_message_becomes_an_event_whose_token_only_the_operator_can_read(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "STORED_AFTER_SECONDS", 0.1)
    arns = {start(name), start(name)}
    send(name, "not for us")
    trigger = SageMakerPipelineCallbackEventTrigger(queue=name, aws_conn_id=None)
    events = fire(trigger, 2, then=lambda: left(name) == 1)
    assert {(event["kind"], event["pipeline_name"], event["arguments"]["n"]) for event in events} == {
        ("callback", name, 7)
    }
    assert {event["execution_arn"] for event in events} == arns
    for event in events:
        assert event["token"].startswith("sealed:")
        assert len(open_token(event["token"])) == 10
        assert open_token(event["token"]) not in json.dumps(event)
    for rows, event in enumerate(events):
        assert answer(event, outputs={"rows": rows}) == event["execution_arn"]
        assert answer(event, outputs={"rows": rows}) == event["execution_arn"]
    wait_until(lambda: {status(arn) for arn in arns} == {"Succeeded"})


def test_a_message_whose_event_was_not_stored_comes_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "HIDDEN_SECONDS", 1)
    start(name)
    trigger = SageMakerPipelineCallbackEventTrigger(queue=name, aws_conn_id=None)
    (first,) = fire(trigger, 1)
    (second,) = fire(trigger, 1)
    assert first["id"] == second["id"]
    event = SimpleNamespace(extra={"from_trigger": True, "payload": first})
    repeated = SimpleNamespace(extra={"from_trigger": True, "payload": json.dumps(second)})
    assert pipeline_events({"asset": [event, repeated], "other": [SimpleNamespace(extra={"rows": 1})]}) == [first]


def test_airflow_3_3_has_a_message_deleted_when_its_event_is_stored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shared_stream = pytest.importorskip("airflow.triggers.shared_stream", reason="new in Airflow 3.3")
    monkeypatch.setattr(queue_module, "HIDDEN_SECONDS", 1)
    arn = start(name)
    trigger = SageMakerPipelineCallbackEventTrigger(queue=name, aws_conn_id=None)
    assert trigger.shared_stream_key() == again(trigger).shared_stream_key()

    async def run() -> None:
        producer = type(trigger).create_shared_stream_producer(trigger.serialize()[1])

        async def once() -> AsyncIterator[Any]:
            async for raw, receipt in producer.open_stream():
                yield raw
                failed, stored = (shared_stream.AdvanceOutcome(acked=n, failed=1 - n) for n in (0, 1))
                await producer.advance([shared_stream.AdvanceItem(receipt, failed)])
                assert await asyncio.to_thread(left, name) == 1
                await producer.advance([shared_stream.AdvanceItem(receipt, stored)])
                assert await asyncio.to_thread(left, name) == 0
                return

        (event,) = [event async for event in again(trigger).filter_shared_stream(once())]
        assert event.payload["execution_arn"] == arn
        await producer.aclose()

    asyncio.run(asyncio.wait_for(run(), 30))


def test_a_queue_that_is_made_later_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "plan_backoff", lambda **_: 0.1)
    trigger = SageMakerPipelineCallbackEventTrigger(queue="made-later", aws_conn_id=None)
    body = {"token": "abcdefghij", "pipelineExecutionArn": f"arn:aws:sagemaker:us-east-1:1:pipeline/{name}/execution/e"}

    def make_and_tell() -> None:
        # One after the other: two timers of their own have no order on a busy machine.
        boto3.client("sqs").create_queue(QueueName="made-later")
        send("made-later", body)

    made = threading.Timer(0.5, make_and_tell)
    made.start()
    (event,) = fire(trigger, 1)
    assert event["pipeline_name"] == name
    made.join()


def change(arn: str, status: str, **kwargs: Any) -> dict[str, Any]:
    detail = {"pipelineExecutionArn": arn, "currentPipelineExecutionStatus": status}
    kind = "SageMaker Model Building Pipeline Execution Status Change"
    return {"source": "aws.sagemaker", "detail-type": kind, "detail": detail, **kwargs}


def test_an_execution_s_end_is_fired_once_and_only_as_the_api_tells_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_module, "STORED_AFTER_SECONDS", 0.0)
    monkeypatch.setattr(queue_module, "HIDDEN_SECONDS", 1)
    boto3.client("sqs").create_queue(QueueName=f"{name}-ended")
    running, failed = start(name), start(name)
    callbacks = SageMakerPipelineCallbackEventTrigger(queue=name, aws_conn_id=None)
    by_arn = {event["execution_arn"]: event for event in fire(callbacks, 2)}
    answer(by_arn[failed], success=False, failure_reason="No.")
    wait_until(lambda: status(failed) == "Failed")
    for body in (
        change(failed, "Succeeded", id="one"),  # the API knows better
        change(failed, "Succeeded", id="one"),
        change(failed, "Executing"),
        change(failed.replace("/execution/", "/execution/x"), "Failed"),
        change(failed.replace(name, "other"), "Failed"),
        "not for us",
        change(running, "Succeeded"),  # stays until it is true
    ):
        send(f"{name}-ended", body)
    trigger = SageMakerPipelineExecutionEventTrigger(
        queue=f"{name}-ended", pipelines=[name], statuses=["Failed", "Succeeded"], aws_conn_id=None
    )
    (event,) = fire(trigger, 1, then=lambda: left(f"{name}-ended") == 2)
    assert event["id"] == "one"
    assert (event["execution_arn"], event["status"]) == (failed, "Failed")
    assert "steps failed" in event["failure_reason"]
    answer(by_arn[running], outputs={"rows": 1})
    (event,) = fire(trigger, 1, then=lambda: left(f"{name}-ended") == 1)
    assert (event["execution_arn"], event["status"]) == (running, "Succeeded")


def test_without_the_right_key_a_token_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    assert seal_token(seal_token("abcdefghij")).count("sealed:") == 1
    assert open_token("abcdefghij") == "abcdefghij"
    foreign = "sealed:" + Fernet(Fernet.generate_key()).encrypt(b"abcdefghij").decode()
    with pytest.raises(AirflowFailException, match="sealed with another Fernet key"):
        answer(foreign)
    null = getattr(crypto, "_NullFernet", None) or crypto.NullFernet  # the name before Airflow 3.3
    monkeypatch.setattr(crypto, "get_fernet", null)
    assert seal_token("abcdefghij") == "abcdefghij"
    with pytest.raises(AirflowFailException, match="must be the same"):
        answer(foreign)
