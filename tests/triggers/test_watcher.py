"""The watcher: few calls for many waits, no end missed, no thread left, and a limit the service can bear."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import datetime, timedelta, timezone
from queue import Queue
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.client.status_events import StatusChange
from airflow_sm_pipelines.triggers import execution as execution_module
from airflow_sm_pipelines.triggers import wait_schedule as schedule_module
from airflow_sm_pipelines.triggers import watcher as watcher_module
from airflow_sm_pipelines.triggers.event_reliability import EventReliability
from airflow_sm_pipelines.triggers.execution import WATCHERS, SageMakerPipelineExecutionTrigger
from airflow_sm_pipelines.triggers.wait_schedule import ExecutionWait
from airflow_sm_pipelines.triggers.watcher import PipelineWatcher
from tests.airflow_fakes import FAILED_STEPS, Fault

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str], fake_is_aws: None, monkeypatch: pytest.MonkeyPatch) -> FakeSageMaker:
    """A fake SageMaker with pipelines ``p`` and ``q`` that this process's boto3 talks to."""
    one = endpoint[0]
    one.add_pipeline("p")
    one.add_pipeline("q")
    monkeypatch.setattr(schedule_module, "GATHER_SECONDS", 0.05)
    return one


def start(fake: FakeSageMaker, pipeline: str, count: int, statuses: list[str]) -> list[str]:
    fake.statuses = statuses
    answers = [
        fake.op_StartPipelineExecution(
            {"PipelineName": pipeline, "ClientRequestToken": f"{pipeline}-{number}-{id(statuses)}"}
        )
        for number in range(count)
    ]
    return [answer["PipelineExecutionArn"] for answer in answers]


def make_trigger(arn: str, **kwargs: Any) -> SageMakerPipelineExecutionTrigger:
    trigger = SageMakerPipelineExecutionTrigger(
        **{"execution_arn": arn, "aws_conn_id": None, "waiter_delay": 0.2, **kwargs}
    )
    trigger.task_instance = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    return trigger


async def event_of(trigger: SageMakerPipelineExecutionTrigger) -> dict[str, Any]:
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    return dict(events[0])


def fire(*triggers: SageMakerPipelineExecutionTrigger) -> list[dict[str, Any]]:
    async def together() -> list[dict[str, Any]]:
        return await asyncio.gather(*(event_of(trigger) for trigger in triggers))

    return asyncio.run(asyncio.wait_for(together(), 60))


def watcher_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "sm-pipelines-watcher"}


@pytest.fixture
def earlier_threads() -> set[threading.Thread]:
    """Those of earlier tests, whose last call may still be tried again at an endpoint that is gone."""
    return watcher_threads()


def test_many_waits_share_a_few_list_calls_and_one_thread(
    fake: FakeSageMaker, earlier_threads: set[threading.Thread]
) -> None:
    arns = start(fake, "p", 60, ["Executing", "Executing", "Succeeded"])
    arns += start(fake, "q", 40, ["Executing", "Failed"])
    events = fire(*(make_trigger(arn) for arn in arns))
    assert [event["execution_arn"] for event in events] == arns
    assert [event["status"] for event in events] == ["Succeeded"] * 60 + ["Failed"] * 40
    assert all(event["kind"] == "ended" and "steps" not in event for event in events)
    assert fake.count("ListPipelineExecutions") <= 8
    assert fake.count("DescribePipelineExecution") == 0
    assert (len(WATCHERS), watcher_threads() - earlier_threads) == (0, set())


def test_an_execution_that_no_list_shows_is_described(fake: FakeSageMaker) -> None:
    arns = start(fake, "p", 3, ["Executing", "Succeeded"])
    fake.executions[arns[1]].is_hidden = True
    assert [event["status"] for event in fire(*map(make_trigger, arns))] == ["Succeeded"] * 3
    assert {request["PipelineExecutionArn"] for request in fake.requests("DescribePipelineExecution")} == {arns[1]}


def test_pages_are_read_while_they_pay(fake: FakeSageMaker) -> None:
    fake.page_size = 10
    arns = start(fake, "p", 25, ["Succeeded"])
    assert [event["status"] for event in fire(*map(make_trigger, arns))] == ["Succeeded"] * 25
    assert fake.count("ListPipelineExecutions") == 3
    assert fake.count("DescribePipelineExecution") == 0


def test_who_may_not_list_is_served_one_by_one(fake: FakeSageMaker) -> None:
    fake.fail_next("ListPipelineExecutions", Fault("AccessDeniedException", times=1000))
    arns = start(fake, "p", 4, ["Executing", "Succeeded"])
    assert [event["status"] for event in fire(*map(make_trigger, arns))] == ["Succeeded"] * 4
    assert fake.count("ListPipelineExecutions") == 1


def test_one_execution_that_is_gone_ends_only_its_own_wait(fake: FakeSageMaker) -> None:
    arns = start(fake, "p", 3, ["Executing", "Succeeded"])
    gone = arns[0].replace("e0", "x0")
    events = fire(*map(make_trigger, [*arns, gone]))
    assert [event["status"] for event in events[:3]] == ["Succeeded"] * 3
    assert (events[3]["kind"], events[3]["code"]) == ("error", "ResourceNotFound")


def test_two_tasks_may_wait_for_one_execution(fake: FakeSageMaker) -> None:
    (arn,) = start(fake, "p", 1, ["Executing", "Stopped"])
    first, second = fire(make_trigger(arn), make_trigger(arn))
    assert first == second
    assert first["status"] == "Stopped"


def test_throttling_slows_the_watcher_down_and_loses_nothing(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "plan_backoff", lambda **_: 0.01)
    arns = start(fake, "p", 5, ["Executing", "Succeeded"]) + start(fake, "q", 5, ["Executing", "Succeeded"])
    fake.fail_next("ListPipelineExecutions", Fault("ThrottlingException", times=4))
    assert [event["status"] for event in fire(*map(make_trigger, arns))] == ["Succeeded"] * 10


def test_many_ends_that_events_announce_take_a_list_call_and_wait_while_calls_are_refused(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "plan_backoff", lambda **_: 0.2)
    arns = start(fake, "p", 30, ["Executing", "Succeeded"])
    fake.fail_next("ListPipelineExecutions", Fault("InternalFailure"))
    found: dict[str, str] = {}
    watcher = PipelineWatcher(make_trigger(arns[0]).hook_arguments.make_hook_without_retries)
    watcher._reliability = EventReliability()
    for arn in arns:
        watcher.add(
            schedule_module.ExecutionWait(
                arn, 3600, finish=lambda event: found.update({event["execution_arn"]: event["status"]})
            )
        )
    for arn in arns:
        watcher.record_change(StatusChange(arn, "Succeeded"))
    watcher.start()
    deadline = time.monotonic() + 20
    while len(found) < len(arns):
        assert time.monotonic() < deadline
        if fake.count("ListPipelineExecutions") == 2:
            for arn in arns:
                watcher.record_change(StatusChange(arn, "Succeeded"))
        time.sleep(0.01)
    watcher.close()
    assert set(found.values()) == {"Succeeded"}
    assert fake.count("ListPipelineExecutions") == 3
    assert fake.count("DescribePipelineExecution") == 0


def test_a_deadline_ends_one_wait_and_not_the_others(fake: FakeSageMaker) -> None:
    (slow,) = start(fake, "p", 1, ["Executing"])
    (quick,) = start(fake, "p", 1, ["Executing", "Executing", "Executing", "Succeeded"])
    soon = datetime.now(timezone.utc) + timedelta(seconds=0.3)
    late, other = fire(make_trigger(slow, deadline=soon.isoformat()), make_trigger(quick))
    assert (late["kind"], other["kind"]) == ("timeout", "ended")


def test_a_cancelled_wait_leaves_no_thread(fake: FakeSageMaker, earlier_threads: set[threading.Thread]) -> None:
    (arn,) = start(fake, "p", 1, ["Executing"])

    async def cancel() -> None:
        task = asyncio.create_task(event_of(make_trigger(arn)))
        while not fake.count("DescribePipelineExecution"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancel(), 30))
    deadline = time.monotonic() + 10
    while watcher_threads() - earlier_threads and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert (len(WATCHERS), watcher_threads() - earlier_threads) == (0, set())


def test_a_fault_of_the_watcher_reaches_every_task(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    arns = start(fake, "p", 3, ["Executing"])

    def explode(*_: Any, **__: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(watcher_module, "parse_execution_summary", explode)
    events = fire(*map(make_trigger, arns))
    assert {(event["kind"], event["code"]) for event in events} == {("error", "RuntimeError")}


def test_an_endpoint_that_stays_away_ends_the_waits(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "MAX_SILENT_SECONDS", 0.2)
    monkeypatch.setattr(watcher_module, "plan_backoff", lambda **_: 0.05)
    arns = start(fake, "p", 2, ["Executing"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    assert {event["code"] for event in fire(*map(make_trigger, arns))} == {"EndpointConnectionError"}


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException"])
def test_a_wait_ends_that_is_refused_for_longer_than_it_bears(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    monkeypatch.setattr(watcher_module, "plan_backoff", lambda **_: 0.05)
    short, long = start(fake, "p", 2, ["Executing", "Succeeded"])
    for operation in ("ListPipelineExecutions", "DescribePipelineExecution"):
        fake.fail_next(operation, Fault(code, times=2))
    refused, ended = fire(make_trigger(short, max_refused_seconds=0.1), make_trigger(long))
    assert (refused["kind"], refused["code"], ended["status"]) == ("error", code, "Succeeded")
    assert "max_refused_seconds" in refused["message"]


@pytest.mark.parametrize("answered", [True, False])
def test_access_that_was_there_may_come_back(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, answered: bool
) -> None:
    monkeypatch.setattr(watcher_module, "plan_backoff", lambda **_: 0.05)
    arns = start(fake, "p", 2, ["Executing"] * 3 + ["Succeeded"])
    record = PipelineWatcher._record
    is_denied = False

    def deny_once(*arguments: Any) -> None:
        nonlocal is_denied
        for operation in () if is_denied else ("ListPipelineExecutions", "DescribePipelineExecution"):
            fake.fail_next(operation, Fault("AccessDeniedException", times=3))
        is_denied = True
        if arguments:
            record(*arguments)

    monkeypatch.setattr(PipelineWatcher, "_record", deny_once)
    if not answered:
        deny_once()
    events = fire(*map(make_trigger, arns))
    assert {event["kind"] for event in events} == ({"ended"} if answered else {"error"})


def test_steps_are_looked_at_only_when_asked(fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_module, "_PROGRESS_CALLS_PER_SECOND", 50.0)
    quiet, told = start(fake, "p", 2, ["Executing"] * 6 + ["Succeeded"])
    lines: list[str] = []
    trigger = make_trigger(told, progress_delay=0.1)
    monkeypatch.setattr(execution_module.SageMakerPipelineExecutionTrigger, "log", SimpleNamespace(info=lines.append))
    fire(make_trigger(quiet), trigger)
    assert {request["PipelineExecutionArn"] for request in fake.requests("ListPipelineExecutionSteps")} == {told}
    assert sum("Step 'Train'" in line for line in lines) == 1


def test_an_execution_is_lively_only_once_a_look_at_its_steps_differs_from_the_last_one(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher_module, "_PROGRESS_CALLS_PER_SECOND", 50.0)
    (arn,) = start(fake, "p", 1, ["Executing"])
    looks: Queue[bool] = Queue()
    wait = ExecutionWait(
        arn, 60, lambda _: None, progress_delay=0.05, report_progress=lambda _: looks.put(wait.has_changed)
    )
    watcher = PipelineWatcher(HookArguments(aws_conn_id=None).make_hook_without_retries)
    watcher.start()
    watcher.add(wait)
    try:
        assert [looks.get(timeout=30) for _ in range(2)] == [False, False]
        fake.executions[arn].steps = FAILED_STEPS
        assert any(looks.get(timeout=30) for _ in range(5))
    finally:
        watcher.close()
