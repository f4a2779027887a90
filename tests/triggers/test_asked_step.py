"""The trigger that waits for a person's answer or for the end of the step, whichever comes first."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from airflow.sdk.execution_time import task_runner

from airflow_sm_pipelines.triggers import asked_step
from airflow_sm_pipelines.triggers.asked_step import SageMakerAskedStepTrigger
from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger

if TYPE_CHECKING:
    import pytest

ENDED = {"kind": "step", "verdict": "fail"}


def make_trigger() -> SageMakerAskedStepTrigger:
    return SageMakerAskedStepTrigger(
        ti_id=str(uuid4()),
        step_name="B",
        run_task_id="run",
        ended_task_id="ended",
        step_prefix="steps.",
        mirrored={"arn": "arn", "began": None, "old_mark": None},
    )


def wait(monkeypatch: pytest.MonkeyPatch, answers: list[Any], *, ends_after: float) -> dict[str, Any]:
    """What comes of the wait, where Airflow answers so one time after the other."""

    async def mirror(_: Any) -> dict[str, Any]:
        await asyncio.sleep(ends_after)
        return ENDED

    def send(msg: Any) -> Any:
        found = answers.pop(0) if answers else SimpleNamespace(response_received=False)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(SageMakerMirroredStepTrigger, "wait", mirror)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(send=send), raising=False)
    monkeypatch.setattr(asked_step, "ANSWER_SECONDS", 0.01)
    return asyncio.run(asyncio.wait_for(make_trigger().wait(), 20))


def test_the_answer_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    user = SimpleNamespace(id="1", name="Ada")
    answer = SimpleNamespace(
        response_received=True, chosen_options=["Approve"], params_input={"reason": "good"}, responded_by_user=user
    )
    answers = [RuntimeError("no answer now"), SimpleNamespace(response_received=False), answer]
    found = wait(monkeypatch, answers, ends_after=30)
    assert found == {
        "kind": "answered",
        "chosen_options": ["Approve"],
        "params_input": {"reason": "good"},
        "responded_by_user": {"id": "1", "name": "Ada"},
    }


def test_the_step_ends_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert wait(monkeypatch, [], ends_after=0.05) == ENDED


def test_airflow_can_make_it_again() -> None:
    _, stored = make_trigger().serialize()
    _, again = SageMakerAskedStepTrigger(**json.loads(json.dumps(stored))).serialize()
    assert again == stored
