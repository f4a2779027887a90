"""Events for functions, topics and pipelines: kept until they are delivered, and tried again."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.server import event_deliveries
from airflow_sm_pipelines.server.event_deliveries import EventDeliveries, is_delivered_here
from airflow_sm_pipelines.server.local_server import serve

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.server.local_server import RunningServer


@pytest.mark.parametrize(
    ("resource", "is_ours"),
    [
        ("lambda:us-east-1:123456789012:function:f", True),
        ("sns:us-east-1:123456789012:t", True),
        ("sagemaker:us-east-1:123456789012:pipeline/p", True),
        ("sagemaker:us-east-1:123456789012:endpoint/e", False),
        ("sqs:us-east-1:123456789012:q", False),
    ],
)
def test_what_moto_serves_goes_by_another_way(resource: str, is_ours: bool) -> None:
    assert is_delivered_here(f"arn:aws:{resource}") is is_ours


def put_event(server: RunningServer) -> None:
    """Have a rule send an event to a topic that tells a queue."""
    sqs, sns, events = (server.make_client(name) for name in ("sqs", "sns", "events"))
    sqs.create_queue(QueueName="told")
    topic = sns.create_topic(Name="told")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:123456789012:told")
    events.put_rule(Name="r", EventPattern=json.dumps({"source": ["mine"]}))
    transformer = {"InputPathsMap": {"who": "$.detail.who"}, "InputTemplate": '{"hello": <who>, "text": "to <who>"}'}
    events.put_targets(Rule="r", Targets=[{"Id": "1", "Arn": topic, "InputTransformer": transformer}])
    events.put_events(Entries=[{"Source": "mine", "DetailType": "Mine", "Detail": '{"who": "you"}'}])


def read_told(server: RunningServer) -> list[Any]:
    sqs = server.make_client("sqs")
    url = sqs.get_queue_url(QueueName="told")["QueueUrl"]
    deadline = time.monotonic() + 20
    while not (messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])):
        assert time.monotonic() < deadline, "nothing was delivered"
    return [json.loads(json.loads(message["Body"])["Message"]) for message in messages]


def test_an_event_that_was_not_delivered_is_delivered_after_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(EventDeliveries, "start", lambda self: None)
        with serve(tmp_path / "state", region="us-east-1") as server:
            put_event(server)
    with serve(tmp_path / "state", region="us-east-1") as server:
        assert read_told(server) == [{"hello": "you", "text": "to you"}]
    with serve(tmp_path / "state", region="us-east-1") as server:
        sqs = server.make_client("sqs")
        url = sqs.get_queue_url(QueueName=event_deliveries.QUEUE)["QueueUrl"]
        assert "Messages" not in sqs.receive_message(QueueUrl=url), "it was taken from the queue"


def test_a_target_that_fails_is_tried_again_and_then_given_up_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tries: list[str] = []
    give = EventDeliveries._give

    def fail_twice(self: EventDeliveries, message: dict[str, Any]) -> None:
        tries.append(message["target"]["Id"])
        if tries.count("1") < 3:
            raise OSError("no answer")
        give(self, message)

    monkeypatch.setattr(EventDeliveries, "_give", fail_twice)
    monkeypatch.setattr(event_deliveries, "_PAUSE_SECONDS", 0.01)
    with serve(tmp_path / "state", region="us-east-1") as server:
        put_event(server)
        assert read_told(server) == [{"hello": "you", "text": "to you"}]
        assert tries == ["1"] * 3
        tries[:] = []
        monkeypatch.setattr(event_deliveries, "_ATTEMPTS", 2)
        put_event(server)
        deadline = time.monotonic() + 20
        while "EventBridge gave up on arn:aws:sns:us-east-1:123456789012:told: OSError" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert tries == ["1"] * 2
