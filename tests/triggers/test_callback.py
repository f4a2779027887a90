"""The trigger of a Callback step's message: what it asks, what it bears, and what it fires."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.client.callbacks import CallbackMessage
from airflow_sm_pipelines.exceptions import PipelineAccessError, PipelineApiError, PipelineUnavailableError
from airflow_sm_pipelines.triggers import callback
from airflow_sm_pipelines.triggers.callback import SageMakerPipelineCallbackTrigger

MESSAGE = CallbackMessage(token="abcdefghij", execution_arn="arn", arguments={"number": 7}, receipt="receipt")
SLOW = PipelineUnavailableError("slow down", code="ThrottlingException")
DENIED = PipelineAccessError("may not", code="AccessDenied")
EXPIRED = PipelineUnavailableError("expired", code="ExpiredTokenException")


class World:
    """The answers of a queue, one after the other, on a clock that each pause moves on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: CallbackMessage | Exception | None) -> None:
        self.answers = list(answers)
        self.calls: list[Any] = []
        self.pauses: list[float] = []
        self.hooks = 0
        monkeypatch.setattr(HookArguments, "make_hook", lambda _: self.make_hook())
        monkeypatch.setattr(callback, "receive_callback", self.receive)
        monkeypatch.setattr(callback, "seal_token", lambda token: f"sealed:{token}")
        monkeypatch.setattr(callback.time, "monotonic", lambda: sum(self.pauses))
        monkeypatch.setattr(callback.asyncio, "sleep", self.sleep)

    def make_hook(self) -> int:
        self.hooks += 1
        return self.hooks

    def receive(self, *given: Any, **named: Any) -> CallbackMessage | None:
        self.calls.append((*given, named))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, seconds: float) -> None:
        assert len(self.pauses) < 50, "it waits without an end"
        self.pauses.append(seconds)

    def wait(self, **arguments: Any) -> dict[str, Any]:
        trigger = SageMakerPipelineCallbackTrigger(queue_url="url", waiter_delay=7.0, **arguments)
        return asyncio.run(trigger.wait())


def test_a_message_is_waited_for_at_the_authors_interval_and_given_sealed(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, None, SLOW, MESSAGE)
    found = world.wait(execution_arn="arn")
    assert found == {"kind": "message", **MESSAGE.to_json(), "token": "sealed:abcdefghij"}
    assert world.pauses == [7.0, 7.0]
    assert world.calls == [(1, "url", {"execution_arn": "arn"})] * 3


def test_credentials_that_have_expired_need_another_client(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, EXPIRED, MESSAGE)
    assert world.wait()["kind"] == "message"
    assert world.calls == [(1, "url", {"execution_arn": None}), (2, "url", {"execution_arn": None})]


@pytest.mark.parametrize("seen", [None, SLOW], ids=["no message", "refused"])
def test_a_wait_whose_time_is_over_tells_why_the_last_call_was_refused(
    monkeypatch: pytest.MonkeyPatch, seen: PipelineApiError | None
) -> None:
    world = World(monkeypatch, SLOW if seen is None else None, seen)
    now = datetime.now(timezone.utc)
    trigger = SageMakerPipelineCallbackTrigger(queue_url="url", deadline=(now + timedelta(hours=1)).isoformat())

    async def sleep(seconds: float) -> None:
        await world.sleep(seconds)
        trigger.deadline = now.isoformat()

    monkeypatch.setattr(callback.asyncio, "sleep", sleep)
    assert asyncio.run(trigger.wait()) == {"kind": "timeout", "seen": None if seen is None else "slow down"}
    assert len(world.calls) == 2


def test_a_right_that_was_never_there_is_not_waited_for_and_one_that_was_is(monkeypatch: pytest.MonkeyPatch) -> None:
    error = {"kind": "error", "code": "AccessDenied", "message": "may not"}
    assert World(monkeypatch, DENIED).wait() == error
    world = World(monkeypatch, None, DENIED, MESSAGE)
    assert world.wait()["kind"] == "message"
    world = World(monkeypatch, PipelineApiError("gone", code="QueueDoesNotExist"))
    assert world.wait() == {"kind": "error", "code": "QueueDoesNotExist", "message": "gone"}


def test_refusals_are_borne_as_long_as_the_author_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, SLOW, SLOW, None, SLOW)
    found = world.wait(max_refused_seconds=14.0)
    assert (found["kind"], found["code"]) == ("error", "ThrottlingException")
    assert found["message"].startswith("slow down Each look was refused for 14 s, so the wait ends")
    assert len(world.calls) == 6
