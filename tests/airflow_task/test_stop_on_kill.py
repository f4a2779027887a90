"""A killed task stops its execution only if a person ended or cleared it, or its time ran out."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_sm_pipelines.airflow_task import stop_on_kill
from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.airflow_task.stop_on_kill import DELETED
from airflow_sm_pipelines.exceptions import PipelineExecutionFailedError, PipelineUnavailableError
from airflow_sm_pipelines.runs.submission import Submission, TaskIdentity, make_submission
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abcdefghijkl"
IDENTITY = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=2, run_start="", max_tries=0, clear_number=0, try_number=1
)


SUBMISSION = make_submission(IDENTITY, number=1, request={"PipelineName": "p"})


def answer_state(monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
    """Have Airflow say that the task is in this state, or that there is none."""

    def get_task_states(**query: Any) -> dict[str, dict[str, str | None]]:
        assert query == {"dag_id": "d", "task_ids": ["t"], "run_ids": ["r"], "map_index": 2}
        return {} if state == DELETED else {"r": {"t_2": state}}

    monkeypatch.setattr(task_runner.RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
    monkeypatch.setattr(stop_on_kill, "_SIGKILL_TIMEOUT_SECONDS", 0.0)


def make_stopper(stopped: list[str], **options: Any) -> stop_on_kill.ExecutionStopper:
    hook = make_hook(stopped)
    return stop_on_kill.ExecutionStopper(lambda: hook, task=IDENTITY, log=logging.getLogger("test"), **options)


def make_hook(stopped: list[str], *, is_running: bool = True) -> Any:
    return SimpleNamespace(
        conn=None,
        stop_execution=lambda arn, *, token: stopped.append(arn) or is_running,
        start_execution=lambda request, *, token: (
            ARN if (request, token) == (SUBMISSION.request, SUBMISSION.token) else "another"
        ),
    )


def kill(monkeypatch: pytest.MonkeyPatch, state: str | None, **options: Any) -> list[str]:
    """What is stopped when Airflow says that the task is in this state."""
    answer_state(monkeypatch, state)
    stopped: list[str] = []
    make_stopper(stopped, **options).stop(ARN)
    return stopped


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "upstream_failed", "restarting", DELETED])
def test_a_task_that_a_person_ended_or_cleared_stops_its_execution(monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    assert kill(monkeypatch, state) == [ARN]


@pytest.mark.parametrize("state", ["running", "up_for_retry", "scheduled", "queued", "deferred", None])
def test_a_task_that_another_worker_has_or_will_have_leaves_its_execution_alone(
    monkeypatch: pytest.MonkeyPatch, state: str | None
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    assert kill(monkeypatch, state) == []


def test_a_cleared_task_that_goes_on_with_its_execution_does_not_stop_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    assert kill(monkeypatch, "restarting", stop_on_clear=False) == []
    assert kill(monkeypatch, "failed", stop_on_clear=False) == [ARN]


def test_a_task_that_is_ended_within_its_start_call_stops_what_the_call_has_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    answer_state(monkeypatch, "failed")
    stopped: list[str] = []
    begun = time.monotonic()
    make_stopper(stopped).stop(None, pending=SUBMISSION)
    assert time.monotonic() - begun < 2, "the interrupted call must go on"
    while not stopped and time.monotonic() - begun < 30:
        time.sleep(0.01)
    assert stopped == [ARN]


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "restarting", DELETED])
def test_a_task_that_was_ended_before_its_wait_stops_its_own_execution(
    monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    answer_state(monkeypatch, state)
    stopped: list[str] = []
    stopper = make_stopper(stopped)
    with pytest.raises(PipelineExecutionFailedError, match=f"The task is {state} while its execution starts"):
        stopper.check_wanted(ARN)
    assert (stopped, stopper.is_ended_by_hand) == ([ARN], True)


@pytest.mark.parametrize(("state", "expected"), [("restarting", [ARN]), (DELETED, [ARN]), ("running", [])])
def test_an_error_in_the_start_call_of_an_ended_task_leaves_nothing_running(
    monkeypatch: pytest.MonkeyPatch, state: str, expected: list[str]
) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    answer_state(monkeypatch, state)
    stopped: list[str] = []
    make_stopper(stopped).stop_pending(SUBMISSION)
    assert stopped == expected


@pytest.mark.parametrize("state", ["running", "queued", None])
def test_a_task_that_nobody_has_ended_goes_on(monkeypatch: pytest.MonkeyPatch, state: str | None) -> None:
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", SimpleNamespace(), raising=False)
    answer_state(monkeypatch, state)
    stopped: list[str] = []
    make_stopper(stopped).check_wanted(ARN)
    assert stopped == []


@pytest.mark.parametrize(("state", "expected"), [("failed", [ARN]), (DELETED, [ARN]), (None, []), ("running", [])])
@pytest.mark.parametrize("submission", [SUBMISSION, SUBMISSION.with_arn(ARN)], ids=["unknown", "known"])
def test_an_ordered_stop_is_made_only_while_the_task_is_ended(
    monkeypatch: pytest.MonkeyPatch, state: str | None, expected: list[str], submission: Submission
) -> None:
    answer_state(monkeypatch, state)
    stopped: list[str] = []
    monkeypatch.setattr(HookArguments, "make_hook", lambda _: make_hook(stopped))
    key = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 2}
    stop = stop_on_kill.stop_execution_of_ended_task(key, submission.to_json(), HookArguments().to_json())
    answer = asyncio.run(stop)
    assert stopped == expected
    assert ("told to stop" in answer) is bool(expected)


@pytest.mark.parametrize(
    ("is_running", "said", "other"), [(True, "told to stop", "had ended"), (False, "had ended", "told to stop")]
)
def test_what_was_done_is_said_of_the_execution_that_it_was_done_to(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, is_running: bool, said: str, other: str
) -> None:
    caplog.set_level(logging.INFO, logger="test")
    answer_state(monkeypatch, "failed")
    monkeypatch.setattr(HookArguments, "make_hook", lambda _: make_hook([], is_running=is_running))
    log = logging.getLogger("test")
    assert stop_on_kill.stop_now(ARN, hook_arguments=HookArguments(), log=log) is True
    assert ARN in caplog.text
    assert said in caplog.text
    assert other not in caplog.text
    key = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 2}
    order = asyncio.run(stop_on_kill.stop_execution_of_ended_task(key, SUBMISSION.with_arn(ARN).to_json(), {}))
    assert "The task is failed" in order
    assert f"{ARN}: {said}" in order


def test_a_stop_that_is_refused_is_tried_again_with_a_new_client_and_then_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[str] = []

    def refuse(arn: str, *, token: str) -> bool:
        raise PipelineUnavailableError("too busy", code="ThrottlingException")

    def make(_: HookArguments) -> Any:
        made.append("hook")
        return SimpleNamespace(conn=None, stop_execution=refuse)

    monkeypatch.setattr(HookArguments, "make_hook", make)
    assert stop_on_kill.stop_now(ARN, hook_arguments=HookArguments(), log=logging.getLogger("test")) is False
    assert len(made) == 2
    assert caplog.text.count(f"{ARN} could not be stopped: too busy") == 2


@pytest.mark.parametrize(
    ("state", "stop_on_clear", "expected", "said"),
    [
        ("failed", True, [ARN], "marked failed"),
        (DELETED, True, [ARN], "was deleted"),
        ("scheduled", True, [ARN], "was cleared"),
        ("scheduled", False, [], f"{ARN} goes on"),
        ("running", True, [], f"is running, not ended by hand: execution {ARN} goes on"),
    ],
)
def test_a_deferred_task_says_why_its_execution_stops_or_goes_on(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    state: str,
    stop_on_clear: bool,
    expected: list[str],
    said: str,
) -> None:
    caplog.set_level(logging.INFO, logger="test")
    answer_state(monkeypatch, state)
    stopped: list[str] = []
    monkeypatch.setattr(HookArguments, "make_hook", lambda _: make_hook(stopped))
    stop_on_kill.stop_if_ended_by_hand(
        IDENTITY,
        ARN,
        hook_arguments=HookArguments(),
        log=logging.getLogger("test"),
        stop_on_clear=stop_on_clear,
    )
    assert stopped == expected
    assert said in caplog.text


def test_the_state_of_a_task_is_found_by_its_run_its_name_and_its_index() -> None:
    word = SimpleNamespace(value="failed")
    states: dict[str, dict[str, Any]] = {"r": {"t": word, "m_2": "queued", "none": None}, "r2": {"u": "success"}}
    found = {
        (name, index): stop_on_kill.find_task_state(states, stop_on_kill.TaskKey("d", "r", name, index))
        for name, index in (("t", -1), ("m", 2), ("m", 3), ("none", -1), ("u", -1))
    }
    assert list(found.values()) == ["failed", "queued", DELETED, None, DELETED]


def test_a_deferred_task_has_left_when_it_was_cleared_or_deleted() -> None:
    states = (DELETED, None, "scheduled", "queued", "running", "deferred", "failed", "success", "up_for_retry")
    assert [state for state in states if stop_on_kill.has_left(state)] == [DELETED, None, "scheduled", "queued"]


@pytest.mark.parametrize("why", ["deleted", "cleared"])
def test_an_ordered_stop_of_a_deleted_or_cleared_task_does_not_ask_for_what_is_there_now(
    monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    answer_state(monkeypatch, "running")
    stopped: list[str] = []
    monkeypatch.setattr(HookArguments, "make_hook", lambda _: make_hook(stopped))
    key = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 2}
    submission = SUBMISSION.with_arn(ARN).to_json()
    order = stop_on_kill.stop_execution_of_ended_task(key, submission, {}, **{f"is_{why}": True})
    assert f"The task is {why}." in asyncio.run(order)
    assert stopped == [ARN]


def test_an_ordered_stop_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    answer_state(monkeypatch, "failed")
    monkeypatch.setattr(stop_on_kill, "_PAUSE_SECONDS", 0.0)
    answers = [PipelineUnavailableError("busy", code="ThrottlingException"), True]

    def stop_execution(arn: str, *, token: str) -> bool:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(HookArguments, "make_hook", lambda _: SimpleNamespace(conn=None, stop_execution=stop_execution))
    key = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": 2}
    stop = stop_on_kill.stop_execution_of_ended_task(key, SUBMISSION.with_arn(ARN).to_json(), {})
    assert "told to stop" in asyncio.run(stop)
    assert answers == []


def test_where_nobody_else_has_the_task_a_kill_stops_its_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    assert kill(monkeypatch, "running") == [ARN]


def test_a_trigger_that_is_cancelled_again_while_it_stops_the_execution_stops_it_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped: list[str] = []
    asked, answered = threading.Event(), threading.Event()

    def answer_late(_: Any) -> str:
        asked.set()
        assert answered.wait(20)
        return "failed"

    hook = SimpleNamespace(conn=None, stop_execution=lambda arn, *, token: stopped.append(arn) or True)
    monkeypatch.setattr(HookArguments, "make_hook", lambda _: hook)
    monkeypatch.setattr(stop_on_kill, "request_task_state", answer_late)

    async def cancel_twice() -> None:
        trigger = SageMakerPipelineExecutionTrigger(execution_arn=ARN)
        trigger.task_instance = SimpleNamespace(task_id="t")  # type: ignore[assignment]
        killing_it = asyncio.ensure_future(trigger.on_kill())
        while not asked.is_set():
            await asyncio.sleep(0.01)
        killing_it.cancel()
        with pytest.raises(asyncio.CancelledError):
            await killing_it
        answered.set()
        while not stopped:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(cancel_twice(), 30))
    assert stopped == [ARN]


def test_a_trigger_that_is_cancelled_twice_before_its_on_kill_stops_the_execution_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped: list[str] = []
    answer_state(monkeypatch, DELETED)
    monkeypatch.setattr(HookArguments, "make_hook", lambda _: make_hook(stopped))
    monkeypatch.setattr(stop_on_kill, "request_task_state", lambda _: DELETED)

    class Endless(SageMakerPipelineExecutionTrigger):
        """Its execution never ends."""

        async def wait(self) -> dict[str, Any]:
            return await asyncio.get_running_loop().create_future()

    async def cancel_twice() -> None:
        trigger = Endless(execution_arn=ARN)
        trigger.task_instance = IDENTITY  # type: ignore[assignment]

        async def run() -> None:
            try:
                async for _ in trigger.run():
                    pass
            except asyncio.CancelledError:
                await asyncio.sleep(0)  # Airflow logs here, and only then calls on_kill
                raise

        running = asyncio.ensure_future(run())
        await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        while not stopped:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(cancel_twice(), 30))
    assert stopped == [ARN]
