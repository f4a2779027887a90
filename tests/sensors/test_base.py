"""What all sensors share: how one goes on after its deferral, what it remembers, and what its end says."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_names import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow_sm_pipelines.airflow_task.task_state_store import REFUSED_KEY
from airflow_sm_pipelines.client.wait_policy import Verdict
from airflow_sm_pipelines.exceptions import PipelineAccessError, PipelineNotFoundError, PipelineUnavailableError
from airflow_sm_pipelines.sensors import base
from airflow_sm_pipelines.sensors.base import Observation, SageMakerExecutionBaseSensor, SageMakerPipelinesSensor
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"
WAITS = Observation(Verdict.WAIT, None, "It runs.")
ENDED = Observation(Verdict.SUCCEED, {"status": "Succeeded"}, "It has ended.")
SLOW = PipelineUnavailableError("slow down", code="ThrottlingException")
EXPIRED = PipelineUnavailableError("expired", code="ExpiredTokenException")
DENIED = PipelineAccessError("may not", code="AccessDenied")


class Sensor(SageMakerPipelinesSensor):
    """A sensor whose checks find what the test says; the last one again and again."""

    found: list[Observation | Exception]
    hooks: list[Any]
    seen_by: list[Any]

    def make_hook(self) -> Any:
        self.hooks.append(object())
        return self.hooks[-1]

    def observe(self, context: Any, hook: Any) -> Observation:
        self.seen_by.append(hook)
        found = self.found.pop(0) if len(self.found) > 1 else self.found[0]
        if isinstance(found, Exception):
            raise found
        return found

    def make_trigger(self, deadline: str) -> Any:
        return SimpleNamespace(deadline=deadline)


def make(*found: Observation | Exception, **arguments: Any) -> Sensor:
    sensor = Sensor(task_id="wait", **arguments)
    sensor._cached_logger = logging.getLogger("task")  # type: ignore[assignment]
    sensor.found, sensor.hooks, sensor.seen_by = list(found), [], []
    return sensor


def deferred_by(sensor: Sensor, *given: Any, **named: Any) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        sensor.execute_complete(make_context(), *given, **named)
    return caught.value


def test_an_end_that_is_none_is_waited_for_again_until_the_same_time(caplog: pytest.LogCaptureFixture) -> None:
    event = {"kind": "ended", "execution_arn": ARN, "status": "Succeeded", "failure_reason": None}
    for given in (event, None):
        deferred = deferred_by(make(WAITS), given, deadline="then")
        assert (deferred.trigger.deadline, deferred.method_name) == ("then", "execute_complete")
        assert deferred.kwargs == {"deadline": "then"}
        assert make(ENDED).execute_complete(make_context(), given) == ENDED.xcom
    before = datetime.now(timezone.utc)
    deadline = datetime.fromisoformat(deferred_by(make(WAITS, timeout=60)).trigger.deadline)
    assert timedelta(seconds=60) <= deadline - before < timedelta(seconds=90)


def test_a_wait_whose_time_is_over_looks_once_more_and_says_what_it_saw(caplog: pytest.LogCaptureFixture) -> None:
    event = {"kind": "timeout", "execution_arn": ARN, "status": "Executing", "failure_reason": None}
    assert make(ENDED).execute_complete(make_context(), event) == ENDED.xcom
    text = "The wait was not over after 15 minutes. Last seen: "
    for found, seen in ((WAITS, "It runs."), (SLOW, "slow down")):
        with pytest.raises(AirflowSensorTimeout) as caught:
            make(found, timeout=900).execute_complete(make_context(), event)
        assert str(caught.value) == f"{text}{seen}"
        assert f"{text}{seen}" in caplog.text


@pytest.mark.parametrize(
    ("code", "error"),
    [("AccessDeniedException", AirflowFailException), ("ThrottlingException", PipelineUnavailableError)],
)
def test_a_wait_that_broke_off_fails_with_its_reason_and_without_a_look(code: str, error: type[Exception]) -> None:
    sensor = make(ENDED)
    with pytest.raises(error, match="the reason"):
        sensor.execute_complete(make_context(), {"kind": "error", "code": code, "message": "the reason"})
    assert sensor.seen_by == []


@pytest.mark.parametrize(
    ("verdict", "given", "error"),
    [
        (Verdict.FAIL, {}, AirflowFailException),
        (Verdict.FAIL, {"soft_fail": True}, AirflowSkipException),
        (Verdict.SKIP, {}, AirflowSkipException),
    ],
)
@pytest.mark.parametrize("is_pushed", [True, False])
def test_a_task_that_does_not_succeed_leaves_what_it_found(
    verdict: Verdict, given: dict[str, Any], error: type[Exception], is_pushed: bool
) -> None:
    ti = FakeTaskInstance()
    sensor = make(Observation(verdict, {"status": "Failed"}, "It failed."), do_xcom_push=is_pushed, **given)
    with pytest.raises(error, match=r"^It failed\.$"):
        sensor.poke(make_context(ti))
    assert ti.pushed == ({"return_value": {"status": "Failed"}} if is_pushed else {})


def test_a_client_whose_credentials_have_expired_is_made_anew() -> None:
    sensor = make(SLOW, EXPIRED, WAITS, ENDED)
    for _ in range(3):
        assert sensor.poke(make_context()) is None
    first, second = sensor.hooks
    assert sensor.seen_by == [first, first, second]


def test_a_denied_look_is_borne_after_one_that_was_answered_alone() -> None:
    with pytest.raises(AirflowFailException, match=r"^may not$"):
        make(DENIED).poke(make_context())
    sensor = make(WAITS, DENIED, ENDED)
    assert [sensor.poke(make_context()) for _ in range(2)] == [None, None]


def test_refusals_are_borne_for_as_long_as_the_author_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(base.time, "time", lambda: now[0])
    sensor = make(SLOW, max_refused_seconds=60)
    for moment in (1000.0, 1059.9):
        now[0] = moment
        assert sensor.poke(make_context()) is None
    now[0] = 1060.0
    with pytest.raises(PipelineUnavailableError, match="refused for 60 s") as caught:
        sensor.poke(make_context())
    assert (caught.value.code, caught.value.__cause__) == ("ThrottlingException", SLOW)


def test_a_rescheduled_sensor_remembers_its_refusals_from_one_process_to_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base.time, "time", lambda: 1000.0)
    store = FakeTaskStateStore()
    for found, kept in (
        (SLOW, {"since": 1000.0, "was_answered": False}),
        (WAITS, {"since": None, "was_answered": True}),
        (DENIED, {"since": 1000.0, "was_answered": True}),
    ):
        assert make(found, mode="reschedule").poke(make_context(store=store)) is None
        assert store.values == {REFUSED_KEY: kept}
    store.values.clear()
    assert make(SLOW).poke(make_context(store=store)) is None
    assert store.values == {}
    answered = FakeTaskStateStore({REFUSED_KEY: {"since": None, "was_answered": True}})
    answered.set = lambda *_: pytest.fail("nothing is new")  # type: ignore[method-assign]
    assert make(WAITS, mode="reschedule").poke(make_context(store=answered)) is None


def test_a_deferrable_sensor_looks_once_before_it_waits() -> None:
    assert make(ENDED, deferrable=True).execute(make_context()) == ENDED.xcom
    with pytest.raises(TaskDeferred) as caught:
        make(WAITS, deferrable=True, timeout=60).execute(make_context())
    deadline = caught.value.trigger.deadline
    assert 0 < (datetime.fromisoformat(deadline) - datetime.now(timezone.utc)).total_seconds() <= 60
    failed = Observation(Verdict.FAIL, None, "It failed.")
    for given, error in (({}, AirflowFailException), ({"soft_fail": True}, AirflowSkipException)):
        with pytest.raises(error, match="It failed"):
            make(failed, deferrable=True, **given).execute(make_context())
    gone = PipelineNotFoundError("gone", code="ResourceNotFound")
    for given, error in (({}, AirflowFailException), ({"never_fail": True}, AirflowSkipException)):
        with pytest.raises(error, match="gone"):
            make(gone, deferrable=True, **given).execute(make_context())


def test_a_sensor_on_an_execution_looks_every_half_minute_unless_told_otherwise() -> None:
    connection = {"aws_conn_id": "ours", "region_name": "r", "verify": False, "botocore_config": {"a": 1}}
    for given, delay in (({}, 30), ({"poke_interval": 7}, 7)):
        sensor = SageMakerExecutionBaseSensor(
            task_id="t", execution_arn=ARN, max_refused_seconds=11, **given, **connection
        )
        assert sensor.trigger_arguments("then") == {
            "execution_arn": ARN,
            "waiter_delay": delay,
            "deadline": "then",
            "max_refused_seconds": 11.0,
            "stop_on_kill": False,
            **connection,
        }
