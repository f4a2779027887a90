"""The trigger: one event whatever happens, each transition logged once, and a kill only when it was meant."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.client import execution_watch as watch_module
from airflow_sm_pipelines.triggers import base as base_module
from airflow_sm_pipelines.triggers import execution as execution_module
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger
from tests.airflow_fakes import FAILED_STEPS, SUCCEEDED_STEPS, Fault

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

TOKEN = "t" * 40
NO_RETRIES = {"retries": {"max_attempts": 0}}


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str], fake_is_aws: None) -> FakeSageMaker:
    """A fake SageMaker with pipeline ``p`` and one execution, that this process's boto3 talks to."""
    one = endpoint[0]
    one.add_pipeline("p")
    one.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": TOKEN})
    return one


def make_trigger(fake: FakeSageMaker, **kwargs: Any) -> SageMakerPipelineExecutionTrigger:
    (arn,) = fake.executions
    trigger = SageMakerPipelineExecutionTrigger(
        execution_arn=arn, aws_conn_id=None, waiter_delay=0.1, botocore_config=NO_RETRIES, **kwargs
    )
    path, arguments = trigger.serialize()
    assert path.endswith("SageMakerPipelineExecutionTrigger")
    return SageMakerPipelineExecutionTrigger(**json.loads(json.dumps(arguments)))


def fire(trigger: SageMakerPipelineExecutionTrigger) -> list[dict[str, Any]]:
    async def events() -> list[dict[str, Any]]:
        return [event.payload async for event in trigger.run()]

    payloads = asyncio.run(asyncio.wait_for(events(), 60))
    assert json.loads(json.dumps(payloads)) == payloads
    return payloads


def script(fake: FakeSageMaker, statuses: list[str], steps: list[dict[str, Any]] = SUCCEEDED_STEPS) -> None:
    (execution,) = fake.executions.values()
    execution.statuses, execution.steps, execution.failure_reason = statuses, steps, "a step failed"


@pytest.mark.parametrize("status", ["Succeeded", "Failed", "Stopped", "CompletedWithFailures"])
def test_an_end_gives_one_event_with_all_that_the_task_needs(fake: FakeSageMaker, status: str) -> None:
    script(fake, ["Executing", "Stopping", status], FAILED_STEPS)
    (event,) = fire(make_trigger(fake))
    assert (event["kind"], event["status"]) == ("ended", status)
    assert event["execution_arn"] in fake.executions
    assert event["failure_reason"] == ("a step failed" if status == "Failed" else None)
    assert [step["name"] for step in event["steps"]] == ["Train", "Evaluate"]
    assert event["steps"][1]["failure_reason"] == "AlgorithmError: exit code 3"


@pytest.mark.parametrize("is_deferred", [True, False])
def test_what_each_look_finds_is_shown_meanwhile(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, is_deferred: bool
) -> None:
    made: list[Any] = []
    shown: list[Any] = []

    class Progress:
        cursor = {"seen": 2}

        def __init__(self, *given: Any, **named: Any) -> None:
            made.append((*given, named))

        def show_now(self, report: Any, has_changed: bool) -> None:
            shown.append((report.status, [step.name for step in report.steps], has_changed))

        show_soon = show_now

        async def close(self) -> None:
            shown.append("closed")

    monkeypatch.setattr(execution_module, "LiveProgress", Progress)
    script(fake, ["Executing"] * 4 + ["Succeeded"])
    trigger = make_trigger(fake, progress_delay=0.01, publish_steps=True, stream_logs=True, log_cursor={"seen": 1})
    task = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1) if is_deferred else None
    trigger.task_instance = task  # type: ignore[assignment]
    (event,) = fire(trigger)
    assert (event["status"], event["log_cursor"]) == ("Succeeded", {"seen": 2})
    ((ti, make_hook, named),) = made
    assert (ti, make_hook) == (task, trigger.hook_arguments.make_hook)
    expected = {"is_pushed": True, "is_streamed": True, "cursor": {"seen": 1}, "is_one_step": False, "find_links": None}
    assert {name: named[name] for name in expected} == expected
    assert shown[0] == ("Executing", ["Train", "Evaluate"], True)
    assert shown[-1] == "closed"


def test_throttling_is_waited_out(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "plan_backoff", lambda **_: 0.01)
    fake.fail_next("DescribePipelineExecution", Fault("ThrottlingException", times=40))
    script(fake, ["Succeeded"])
    (event,) = fire(make_trigger(fake))
    assert event["status"] == "Succeeded"
    assert fake.count("DescribePipelineExecution") == 41


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFound", "ValidationException"])
def test_what_no_waiting_mends_ends_the_wait_with_the_reason(fake: FakeSageMaker, code: str) -> None:
    fake.fail_next("DescribePipelineExecution", Fault(code))
    (event,) = fire(make_trigger(fake))
    assert (event["kind"], event["code"]) == ("error", code)
    assert "refused by the test" in event["message"]


def test_an_endpoint_that_went_away_ends_the_wait(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_module, "plan_backoff", lambda **_: 0.0)
    trigger = make_trigger(fake)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    (event,) = fire(trigger)
    assert (event["kind"], event["code"]) == ("error", "EndpointConnectionError")
    assert "No answer to 20 looks in a row" in event["message"]


def test_a_fault_of_our_own_is_an_event_too(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(watch_module.ExecutionWatch, "look", explode)
    (event,) = fire(make_trigger(fake))
    assert (event["kind"], event["code"]) == ("error", "RuntimeError")


def test_a_deadline_ends_the_wait(fake: FakeSageMaker) -> None:
    script(fake, ["Executing"])
    (event,) = fire(make_trigger(fake, deadline=datetime.now(timezone.utc).isoformat()))
    assert (event["kind"], event["status"]) == ("timeout", "Executing")


@pytest.mark.parametrize(("is_deferred", "least"), [(True, 0.8), (False, 0.0)])
def test_a_deferred_task_is_not_woken_before_its_worker_has_left(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, is_deferred: bool, least: float
) -> None:
    monkeypatch.setattr(base_module, "WORKER_LEAVES_SECONDS", 0.8)
    script(fake, ["Succeeded"])
    trigger = make_trigger(fake)
    if is_deferred:
        trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    begun = time.monotonic()
    (event,) = fire(trigger)
    assert event["status"] == "Succeeded"
    assert time.monotonic() - begun >= least


def kill(trigger: SageMakerPipelineExecutionTrigger, state: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    def get_task_states(**query: Any) -> dict[str, dict[str, str | None]]:
        assert query == {"dag_id": "d", "task_ids": ["t"], "run_ids": ["r"], "map_index": 4}
        return {"r": {"t_4": state}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", staticmethod(get_task_states))
    trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=4)
    asyncio.run(trigger.on_kill())


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "removed", "upstream_failed"])
def test_a_task_ended_by_hand_stops_its_execution(
    fake: FakeSageMaker, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(fake, ["Executing"])
    kill(make_trigger(fake), state, monkeypatch)
    assert fake.count("StopPipelineExecution") == 1


@pytest.mark.parametrize("state", ["deferred", "running", "restarting", "up_for_retry"])
def test_a_false_alarm_stops_nothing(fake: FakeSageMaker, state: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    script(fake, ["Executing"])
    kill(make_trigger(fake), state, monkeypatch)
    assert fake.count("StopPipelineExecution") == 0


@pytest.mark.parametrize("state", [None, "scheduled", "queued"])
@pytest.mark.parametrize("stop_on_clear", [True, False])
def test_a_cleared_task_whose_next_attempt_has_not_begun_stops_its_execution_unless_it_resumes_it(
    fake: FakeSageMaker, state: str | None, stop_on_clear: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(fake, ["Executing"])
    kill(make_trigger(fake, stop_on_clear=stop_on_clear), state, monkeypatch)
    assert fake.count("StopPipelineExecution") == stop_on_clear


def test_a_kill_leaves_the_execution_alone_when_the_author_says_so(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill(make_trigger(fake, stop_on_kill=False), "failed", monkeypatch)
    assert fake.count("StopPipelineExecution") == 0


def test_without_a_task_instance_a_kill_stops_nothing(fake: FakeSageMaker) -> None:
    asyncio.run(make_trigger(fake).on_kill())
    assert fake.count("StopPipelineExecution") == 0
