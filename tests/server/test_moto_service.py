"""moto in this process: what it is spared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from tests.server.endpoint_stand_in import Endpoint


def test_receiving_messages_does_not_count_those_that_wait(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    sqs = endpoint.client("sqs")
    url = sqs.create_queue(QueueName="long", Attributes={"MessageRetentionPeriod": "60"})["QueueUrl"]
    for body in "abc":
        sqs.send_message(QueueUrl=url, MessageBody=body)
    from moto.sqs import models

    def refuse(queue: object) -> int:
        raise AssertionError("all messages were counted")

    monkeypatch.setattr(models.Queue, "approximate_number_of_messages", property(refuse))
    received = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=2)["Messages"]
    assert [message["Body"] for message in received] == ["a", "b"]
    # A message that was kept for as long as the queue keeps one is gone.
    monkeypatch.setattr(models, "unix_time", lambda *_: 4e9)
    assert "Messages" not in sqs.receive_message(QueueUrl=url)
