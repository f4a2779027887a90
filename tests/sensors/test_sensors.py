"""The sensors: one truth table for poking and deferring, waiting where it helps, failing where it does not."""

from __future__ import annotations

import asyncio
import copy
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import pytest
from airflow.exceptions import AirflowRescheduleException

from airflow_sm_pipelines import SageMakerPipelineExecutionSensor, SageMakerPipelineStepSensor
from airflow_sm_pipelines.airflow_names import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from tests.airflow_fakes import FAILED_STEPS, SUCCEEDED_STEPS, Fault, Refusal
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

NO_RETRIES = {"retries": {"max_attempts": 0}}
STOPPED_STEPS = [{**SUCCEEDED_STEPS[0], "StepStatus": "Stopped"}]
RUNNING_STEPS = [SUCCEEDED_STEPS[0], {**SUCCEEDED_STEPS[1], "StepStatus": "Executing", "EndTime": None}]
RUNNING_STEPS[1].pop("EndTime")


def script(fake: FakeSageMaker, statuses: list[str], steps: list[dict[str, Any]] = SUCCEEDED_STEPS) -> str:
    (execution,) = fake.executions.values()
    execution.statuses, execution.steps, execution.failure_reason = statuses, steps, "a step failed"
    return execution.arn


class PutOffInstance(FakeTaskInstance):
    """A task instance that counts how often its sensor was put off."""

    put_off = 0


def run(sensor: Any, ti: PutOffInstance | None = None) -> Any:
    """Execute as Airflow does, deferrals and reschedules included; gives the XCom."""
    ti = ti or PutOffInstance()
    context = make_context(ti, store=FakeTaskStateStore())
    untouched = copy.copy(sensor)
    while True:
        try:
            return sensor.execute(context)
        except AirflowRescheduleException:
            sensor = copy.copy(untouched)  # another process goes on
            ti.put_off += 1
            ti.first_put_off = ti.first_put_off or datetime.now(timezone.utc)
        except TaskDeferred as deferred:
            return resume(sensor, deferred, context)


def resume(sensor: Any, deferred: TaskDeferred, context: Any) -> Any:
    while True:
        path, arguments = deferred.trigger.serialize()
        trigger = type(deferred.trigger)(**arguments)
        assert path.endswith(type(trigger).__name__)

        async def first(trigger: Any = trigger) -> Any:
            return await anext(trigger.run())

        event = asyncio.run(asyncio.wait_for(first(), 30))
        try:
            return sensor.resume_execution(deferred.method_name, {"event": event.payload}, context)
        except TaskDeferred as again:
            deferred = again


def how(way: str) -> dict[str, Any]:
    """The arguments of a way to wait."""
    mode = "reschedule" if way == "reschedule" else "poke"
    return {"deferrable": way == "deferred", "mode": mode, "poke_interval": 0.02, "botocore_config": NO_RETRIES}


def execution_sensor(fake: FakeSageMaker, *, way: str, **kwargs: Any) -> SageMakerPipelineExecutionSensor:
    (arn,) = fake.executions
    return SageMakerPipelineExecutionSensor(
        **{"task_id": "wait", "execution_arn": arn, "aws_conn_id": None, **how(way), **kwargs}
    )


def step_sensor(fake: FakeSageMaker, step: str, *, way: str, **kwargs: Any) -> SageMakerPipelineStepSensor:
    (arn,) = fake.executions
    return SageMakerPipelineStepSensor(
        **{"task_id": "wait", "execution_arn": arn, "aws_conn_id": None, **how(way), **kwargs},
        step_name=step,
    )


WAYS = pytest.mark.parametrize("way", ["poke", "reschedule", "deferred"])


@WAYS
@pytest.mark.parametrize(
    ("status", "arguments", "outcome"),
    [
        ("Succeeded", {}, None),
        ("Failed", {}, AirflowFailException),
        ("Failed", {"soft_fail": True}, AirflowSkipException),
        ("Stopped", {}, AirflowFailException),
        ("Stopped", {"soft_fail": True}, AirflowSkipException),
        ("Stopped", {"on_stopped": "succeed"}, None),
        ("Stopped", {"on_stopped": "skip"}, AirflowSkipException),
        ("CompletedWithFailures", {}, AirflowFailException),
        ("CompletedWithFailures", {"soft_fail": True}, AirflowSkipException),
        ("CompletedWithFailures", {"on_completed_with_failures": "succeed"}, None),
        ("CompletedWithFailures", {"on_completed_with_failures": "skip"}, AirflowSkipException),
    ],
)
def test_an_execution_s_end_means_what_the_author_says(
    fake: FakeSageMaker, status: str, arguments: dict[str, Any], outcome: type[Exception] | None, way: str
) -> None:
    script(fake, ["Executing", "Stopping", "Paused", status], FAILED_STEPS)
    sensor = execution_sensor(fake, way=way, **arguments)
    ti = PutOffInstance()
    if outcome is None:
        assert run(sensor, ti) == {
            "pipeline_execution_arn": sensor.execution_arn,
            "status": status,
            "failure_reason": None,
            "pipeline_version_id": 1,
        }
        assert ti.put_off == (3 if way == "reschedule" else 0)
        return
    with pytest.raises(outcome) as caught:
        run(sensor)
    if not arguments:
        assert "AlgorithmError: exit code 3" in str(caught.value)


@WAYS
@pytest.mark.parametrize(
    ("step", "statuses", "steps", "arguments", "outcome"),
    [
        ("Train", ["Executing"], RUNNING_STEPS, {}, None),
        ("Evaluate", ["Failed"], FAILED_STEPS, {}, AirflowFailException),
        ("Evaluate", ["Executing"], FAILED_STEPS, {"soft_fail": True}, AirflowSkipException),
        ("Train", ["Stopped"], STOPPED_STEPS, {}, AirflowFailException),
        ("Train", ["Stopped"], STOPPED_STEPS, {"on_stopped": "skip"}, AirflowSkipException),
        ("Train", ["Stopped"], STOPPED_STEPS, {"on_stopped": "succeed"}, None),
        ("Train", ["Stopped"], STOPPED_STEPS, {"soft_fail": True}, AirflowSkipException),
        ("Register", ["Executing", "Succeeded"], SUCCEEDED_STEPS, {}, AirflowSkipException),
        ("Register", ["Executing", "Succeeded"], SUCCEEDED_STEPS, {"on_not_run": "fail"}, AirflowFailException),
        ("Register", ["Executing", "Succeeded"], SUCCEEDED_STEPS, {"on_not_run": "succeed"}, None),
        (
            "Register",
            ["Executing", "Failed"],
            SUCCEEDED_STEPS,
            {"on_not_run": "fail", "soft_fail": True},
            AirflowSkipException,
        ),
        ("Register", ["Executing", "Failed"], FAILED_STEPS, {}, AirflowFailException),
        ("Register", ["Failed"], FAILED_STEPS, {"on_not_run": "succeed"}, AirflowFailException),
        ("Register", ["Executing", "Stopped"], STOPPED_STEPS, {"on_not_run": "skip"}, AirflowFailException),
        ("Register", ["Executing", "CompletedWithFailures"], FAILED_STEPS, {}, AirflowFailException),
        (
            "Register",
            ["Executing", "CompletedWithFailures"],
            FAILED_STEPS,
            {"on_not_run": "succeed", "on_completed_with_failures": "succeed"},
            None,
        ),
        (
            "Register",
            ["CompletedWithFailures"],
            FAILED_STEPS,
            {"on_not_run": "succeed", "on_completed_with_failures": "skip"},
            AirflowSkipException,
        ),
    ],
)
def test_a_step_s_end_means_what_the_author_says(
    fake: FakeSageMaker,
    step: str,
    statuses: list[str],
    steps: list[dict[str, Any]],
    arguments: dict[str, Any],
    outcome: type[Exception] | None,
    way: str,
) -> None:
    script(fake, statuses, steps)
    sensor = step_sensor(fake, step, way=way, **arguments)
    if outcome is not None:
        with pytest.raises(outcome, match=step):
            run(sensor)
    elif step == "Train":
        assert run(sensor)["job_arn"] == SUCCEEDED_STEPS[0]["Metadata"]["TrainingJob"]["Arn"]
    else:
        assert run(sensor) is None


@WAYS
def test_a_step_that_a_failed_execution_did_not_reach_fails_with_its_reason(fake: FakeSageMaker, way: str) -> None:
    script(fake, ["Executing", "Failed"], FAILED_STEPS)
    with pytest.raises(AirflowFailException, match=r"(?s)a step failed.*'Evaluate'.*AlgorithmError: exit code 3"):
        run(step_sensor(fake, "Register", way=way))


@WAYS
@pytest.mark.parametrize(("name", "near"), [("Evalute", "Evaluate"), ("register", "Register")])
def test_a_name_that_no_step_has_fails_at_the_first_look(fake: FakeSageMaker, way: str, name: str, near: str) -> None:
    script(fake, ["Executing"], RUNNING_STEPS)
    with pytest.raises(AirflowFailException, match=f"no step '{name}'. Did you mean '{near}'"):
        run(step_sensor(fake, name, way=way))
    assert fake.count("DescribePipelineExecution") == 1


def test_a_definition_that_may_not_be_read_is_waited_for_without(fake: FakeSageMaker) -> None:
    script(fake, ["Executing", "Succeeded"])
    fake.fail_next("DescribePipelineDefinitionForExecution", Fault("AccessDeniedException"))
    with pytest.raises(AirflowSkipException, match="did not run step 'Evalute'"):
        run(step_sensor(fake, "Evalute", way="poke"))


@WAYS
def test_an_end_that_is_there_at_the_first_look_is_skipped_softly(fake: FakeSageMaker, way: str) -> None:
    script(fake, ["Failed"], FAILED_STEPS)
    with pytest.raises(AirflowSkipException):
        run(execution_sensor(fake, way=way, soft_fail=True))


@WAYS
def test_time_is_up(fake: FakeSageMaker, way: str) -> None:
    script(fake, ["Executing"], [])
    for sensor in (
        execution_sensor(fake, way=way, timeout=0.2),
        step_sensor(fake, "Train", way=way, timeout=0.2),
    ):
        with pytest.raises(AirflowSensorTimeout):
            run(sensor)
    with pytest.raises(AirflowSkipException):
        run(execution_sensor(fake, way=way, timeout=0.2, soft_fail=True))


@WAYS
def test_throttling_is_waited_out_and_a_wrong_arn_is_not(fake: FakeSageMaker, way: str) -> None:
    script(fake, ["Succeeded"])
    fake.fail_next("DescribePipelineExecution", Fault("ThrottlingException", times=2))
    assert run(execution_sensor(fake, way=way))["status"] == "Succeeded"
    with pytest.raises(AirflowFailException, match="ResourceNotFound"):
        run(execution_sensor(fake, way=way, execution_arn="arn:aws:sagemaker:us-east-1:1:pipeline/p/execution/x"))


@WAYS
@pytest.mark.parametrize("code", ["ThrottlingException", "AccessDeniedException"])
def test_what_is_refused_for_too_long_ends(
    fake: FakeSageMaker, monkeypatch: pytest.MonkeyPatch, way: str, code: str
) -> None:
    script(fake, ["Executing"], [])
    monkeypatch.setattr("airflow_sm_pipelines.client.execution_watch.plan_backoff", lambda **_: 0.02)
    sensor = execution_sensor(fake, way=way, max_refused_seconds=0.1)
    describe, answers = fake.op_DescribePipelineExecution, iter((True,) * 2)

    def refuse_later(request: dict[str, Any]) -> dict[str, Any]:
        if next(answers, False):
            return describe(request)
        raise Refusal(code, "no")

    monkeypatch.setattr(fake, "op_DescribePipelineExecution", refuse_later)
    error = AirflowFailException if code == "AccessDeniedException" else PipelineUnavailableError
    with pytest.raises(error, match=r"(?s)DescribePipelineExecution.*max_refused_seconds"):
        run(sensor)


@WAYS
def test_a_sensor_says_what_it_last_saw(fake: FakeSageMaker, way: str) -> None:
    script(fake, ["Executing"], RUNNING_STEPS)
    sensors = [
        (execution_sensor(fake, way=way, timeout=0.2), "Last seen: Execution arn:.*: Executing"),
        (step_sensor(fake, "Evaluate", way=way, timeout=0.2), "Last seen: Step 'Evaluate' is Executing"),
    ]
    for sensor, text in sensors:
        with pytest.raises(AirflowSensorTimeout, match=text):
            run(sensor)
    fake.fail_next("DescribePipelineExecution", Fault("ThrottlingException", times=1000))
    with pytest.raises(AirflowSensorTimeout, match=r"Last seen: .*ThrottlingException"):
        run(execution_sensor(fake, way=way, timeout=0.2))


def test_an_outcome_that_is_none_is_refused(fake: FakeSageMaker) -> None:
    with pytest.raises(AirflowFailException, match="on_stopped='ignore'"):
        run(execution_sensor(fake, way="deferred", on_stopped="ignore"))
    with pytest.raises(AirflowFailException, match="on_not_run='x'"):
        run(step_sensor(fake, "Train", way="poke", on_not_run="x"))
