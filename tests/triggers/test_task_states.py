"""The states of many tasks, in few calls; and what a trigger does whose task does not wait any more."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_sm_pipelines.airflow_task.stop_on_kill import DELETED, TaskKey
from airflow_sm_pipelines.triggers import base as base_module
from airflow_sm_pipelines.triggers import task_states
from airflow_sm_pipelines.triggers.base import SageMakerDeferredTrigger, plan_hold_seconds
from airflow_sm_pipelines.triggers.task_states import DEFERRED, TaskStates

TASKS = [TaskKey("d", f"r{number}", "t", -1) for number in range(500)]
NOW = datetime(2026, 11, 30, 12, tzinfo=timezone.utc)


class Airflow:
    """Answers with states, and counts the calls."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self.states: dict[str, dict[str, Any]] = {}
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
        monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_task_states", staticmethod(self.answer))

    def answer(self, *, dag_id: str, task_ids: list[str], run_ids: list[str]) -> dict[str, dict[str, Any]]:
        assert dag_id == "d"
        assert task_ids == ["t"]
        self.calls += 1
        return {run_id: self.states[run_id] for run_id in run_ids if run_id in self.states}


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Airflow:
    """An Airflow that a triggerer can ask."""
    return Airflow(monkeypatch)


def test_the_states_of_five_hundred_tasks_take_three_calls(airflow: Airflow) -> None:
    airflow.states = {task.run_id: {"t": "deferred"} for task in TASKS}
    airflow.states["r7"] = {"t": None}
    del airflow.states["r8"]

    async def request() -> list[str | None]:
        states = TaskStates()
        return await asyncio.gather(*map(states.request, TASKS))

    found = asyncio.run(request())
    assert (found[7], found[8]) == (None, DELETED)
    assert set(found[9:]) == {"deferred"}
    assert airflow.calls == 3


def test_where_airflow_does_not_answer_the_tasks_are_taken_to_wait(
    airflow: Airflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_: Any) -> None:
        raise OSError("gone")

    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_task_states", staticmethod(fail))

    async def request() -> str | None:
        return await TaskStates().request(TASKS[0])

    assert asyncio.run(request()) == DEFERRED


class Trigger(SageMakerDeferredTrigger):
    """Its wait is over at once."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.left: list[str | None] = []

    def own_arguments(self) -> dict[str, Any]:
        return {}

    async def wait(self) -> dict[str, Any]:
        return {"kind": "ended"}

    async def leave_task(self, state: str | None) -> None:
        self.left.append(state)


async def run_for(trigger: Trigger, seconds: float) -> list[Any]:
    events: list[Any] = []

    async def collect() -> None:
        events.extend([event.payload async for event in trigger.run()])

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(collect(), seconds)
    return events


@pytest.fixture
def trigger(monkeypatch: pytest.MonkeyPatch) -> Trigger:
    """A trigger whose task was deferred long ago, and which asks often."""
    monkeypatch.setattr(base_module, "TASK_CHECK_SECONDS", 0.1)
    monkeypatch.setattr(base_module, "TASK_STATES", TaskStates())
    monkeypatch.setattr(task_states, "GATHER_SECONDS", 0.01)
    one = Trigger(deferred_at=NOW.isoformat())
    one.task_instance = TASKS[0]  # type: ignore[assignment]
    return one


@pytest.mark.parametrize("state", [None, "scheduled", "queued", DELETED])
def test_the_trigger_of_a_cleared_or_deleted_task_leaves_it_once_and_fires_nothing(
    airflow: Airflow, trigger: Trigger, state: str | None
) -> None:
    airflow.states = {} if state == DELETED else {"r0": {"t": state}}
    assert asyncio.run(run_for(trigger, 1)) == []
    assert trigger.left == [state]
    assert airflow.calls > 3


def test_the_trigger_of_a_task_that_waits_fires_at_once_if_the_deferral_was_long_ago(
    airflow: Airflow, trigger: Trigger
) -> None:
    airflow.states = {"r0": {"t": "deferred"}}
    assert asyncio.run(run_for(trigger, 5)) == [{"kind": "ended"}]
    assert trigger.left == []


def test_an_event_is_held_back_from_the_deferral_on_not_from_the_triggers_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base_module, "WORKER_LEAVES_SECONDS", 10.0)
    first = Trigger()
    path, arguments = first.serialize()
    assert path.endswith("Trigger")
    assert Trigger(**arguments).deferred_at == first.deferred_at
    deferred = NOW.isoformat()
    assert plan_hold_seconds(deferred, now=NOW + timedelta(seconds=3)) == 7.0
    assert plan_hold_seconds(deferred, now=NOW + timedelta(hours=3)) == 0.0
    assert plan_hold_seconds(deferred, now=NOW - timedelta(seconds=30)) == 10.0
