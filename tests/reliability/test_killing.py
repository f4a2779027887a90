"""A killed task stops its execution only if a person ended or cleared it, or its time ran out."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_sm_pipelines.airflow_task import stop_on_kill as killing
from airflow_sm_pipelines.runs.submission import TaskIdentity
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdefghijkl"
IDENTITY = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=2, run_start="", max_tries=0, clear_number=0, try_number=1
)


def kill(monkeypatch: pytest.MonkeyPatch, state: str | None) -> list[str]:
    """What is stopped when Airflow says that the task is in this state."""

    def get_task_states(**query: Any) -> dict[str, dict[str, str | None]]:
        assert query == {"dag_id": "d", "task_ids": ["t"], "run_ids": ["r"], "map_index": 2}
        return {"r": {"t_2": state}}

    stopped: list[str] = []
    hook = SimpleNamespace(stop_execution=lambda arn, *, token: stopped.append(arn) or True)
    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
    monkeypatch.setattr(killing, "_DEATH_PATIENCE_SECONDS", 0.0)
    stopper = killing.ExecutionStopper(lambda: hook, identity=IDENTITY, log=logging.getLogger("test"))  # type: ignore[arg-type, return-value]
    stopper.stop(ARN)
    return stopped


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "upstream_failed", "restarting"])
def test_a_task_that_a_person_ended_or_cleared_stops_its_execution(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    assert kill(monkeypatch, state) == [ARN]


@pytest.mark.parametrize("state", ["running", "up_for_retry", "scheduled", "queued", "deferred", None])
def test_a_task_that_another_worker_has_or_will_have_leaves_its_execution_alone(
    monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    assert kill(monkeypatch, state) == []


def test_where_nobody_else_has_the_task_a_kill_stops_its_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    assert kill(monkeypatch, "running") == [ARN]


def test_a_trigger_that_is_cancelled_again_while_it_stops_the_execution_stops_it_all_the_same() -> None:
    stopped: list[str] = []

    class Trigger(SageMakerPipelineExecutionTrigger):
        async def _task_state(self) -> str:
            asked.set()
            await answered.wait()
            return "failed"

        def _hook(self) -> Any:
            return SimpleNamespace(stop_execution=lambda arn, *, token: stopped.append(arn) or True)

    async def cancel_twice() -> None:
        killing_it = asyncio.ensure_future(Trigger(execution_arn=ARN).on_kill())
        await asked.wait()
        killing_it.cancel()
        with pytest.raises(asyncio.CancelledError):
            await killing_it
        answered.set()
        while not stopped:
            await asyncio.sleep(0.01)

    asked, answered = asyncio.Event(), asyncio.Event()
    asyncio.run(asyncio.wait_for(cancel_twice(), 30))
    assert stopped == [ARN]
