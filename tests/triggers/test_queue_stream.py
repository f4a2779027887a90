"""A queue is read without an end: each message is fired once, and deleted when its event is stored."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from airflow_sm_pipelines.triggers import queue_stream
from airflow_sm_pipelines.triggers.queue_stream import QueueProducer, QueueReader

SLOW = PipelineUnavailableError("slow down", code="ThrottlingException")


def message(name: str) -> dict[str, Any]:
    return {"Body": name, "ReceiptHandle": f"receipt-{name}"}


class World:
    """A queue whose answers come one after the other; a pause takes no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: Any) -> None:
        self.answers = list(answers)
        self.hooks = 0
        self.asked: list[Any] = []
        self.deleted: list[Any] = []
        self.pauses: list[float] = []
        monkeypatch.setattr(HookArguments, "make_hook_without_retries", lambda _: self.make_hook())
        monkeypatch.setattr(queue_stream, "find_queue_url", lambda hook, queue: f"url-{queue}-{hook}")
        monkeypatch.setattr(queue_stream, "receive_messages", self.receive)
        monkeypatch.setattr(queue_stream, "delete_messages", lambda *given: self.deleted.append(given))
        monkeypatch.setattr(queue_stream.asyncio, "sleep", self.sleep)
        log: Any = logging.getLogger("queue")
        self.reader = QueueReader(HookArguments(), "q", read=self.read, log=log)

    def make_hook(self) -> int:
        self.hooks += 1
        return self.hooks

    def receive(self, *given: Any, **named: Any) -> Any:
        self.asked.append((*given, named))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read(self, hook: Any, item: dict[str, Any]) -> dict[str, Any] | None:
        name = item["Body"]
        if name == "refused":
            raise SLOW
        return {"done": None, "later": {}}.get(name, {"id": name, "hook": hook})

    async def sleep(self, seconds: float) -> None:
        assert len(self.pauses) < 50, "it waits without an end"
        self.pauses.append(seconds)

    def take(self, count: int) -> list[Any]:
        """The first messages of the stream."""

        async def first() -> list[Any]:
            found = []
            async for one in self.reader.stream():
                found.append(one)
                if len(found) == count:
                    return found
            return found

        try:
            return asyncio.run(first())
        finally:
            self.reader.close()


def test_messages_are_hidden_while_their_events_are_stored_and_those_of_no_use_are_deleted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch, [message(name) for name in ("a", "done", "later", "refused", "b")])
    assert world.take(2) == [({"id": name, "hook": 1}, f"receipt-{name}") for name in "ab"]
    assert world.asked == [(1, "url-q-1", {"wait_seconds": 5, "hidden_seconds": 300})]
    assert world.deleted == [(1, "url-q-1", ["receipt-done"])]
    assert "slow down The message is read again later." in caplog.text


def test_a_message_that_comes_again_is_deleted_and_not_fired(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [message("a")], [message("a"), message("b")], [message("c")])
    assert [payload["id"] for payload, _ in world.take(3)] == ["a", "b", "c"]
    assert [one for one in world.deleted if one[2]] == [(1, "url-q-1", ["receipt-a"])]
    assert world.hooks == 1


def test_only_the_newest_messages_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_stream, "_MAX_REMEMBERED", 2)
    world = World(monkeypatch, [message(name) for name in ("a", "b", "a", "c", "a", "b", "b")])
    assert [payload["id"] for payload, _ in world.take(5)] == ["a", "b", "c", "a", "b"]


def test_a_queue_that_cannot_be_read_is_tried_again_with_another_client_later_and_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch, *[SLOW] * 7, [message("a")], ValueError("odd"), [message("b")])
    assert [payload for payload, _ in world.take(2)] == [{"id": "a", "hook": 8}, {"id": "b", "hook": 9}]
    assert world.pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 2.0]
    told = [record.getMessage() for record in caplog.records]
    assert told == ["slow down The queue is read again later.", "ValueError: odd The queue is read again later."]


def test_messages_are_deleted_ten_at_a_time_and_one_that_is_not_comes_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = World(monkeypatch, [message("a")])
    receipts = [f"r{number}" for number in range(21)]
    asyncio.run(world.reader.settle(receipts))
    assert world.deleted == []  # nothing was read, so there is nothing to delete
    world.reader._receive()
    world.deleted.clear()
    asyncio.run(world.reader.settle(receipts))
    assert [one[2] for one in world.deleted] == [receipts[:10], receipts[10:20], receipts[20:]]

    def refuse(*_: Any) -> None:
        raise SLOW

    monkeypatch.setattr(queue_stream, "delete_messages", refuse)
    asyncio.run(world.reader.settle(receipts[:1]))
    world.reader.close()
    assert "slow down" in caplog.text


def test_a_producer_gives_what_is_read_deletes_what_is_stored_and_lets_the_thread_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, [message("a"), message("b")])
    producer = QueueProducer(world.reader)

    async def use() -> list[Any]:
        stream = producer.open_stream()
        found = [await anext(stream), await anext(stream)]
        world.deleted.clear()
        batch: Any = [
            SimpleNamespace(broker_payload=receipt, outcome=SimpleNamespace(is_clean=receipt == "receipt-b"))
            for _, receipt in found
        ]
        await producer.advance(batch)
        await producer.aclose()
        return found

    assert [receipt for _, receipt in asyncio.run(use())] == ["receipt-a", "receipt-b"]
    assert world.deleted == [(1, "url-q-1", ["receipt-b"])]
    with pytest.raises(RuntimeError, match="shutdown"):
        world.reader._thread.submit(print)
