"""The sensors: one truth table for poking and deferring, waiting where it helps, failing where it does not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_sm_pipelines import SageMakerPipelineExecutionSensor, SageMakerPipelineStepSensor
from tests.airflow_fakes import FAILED_STEPS, SUCCEEDED_STEPS, Fault

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


def run(sensor: Any) -> Any:
    """Execute as Airflow does, deferrals included; gives the XCom."""
    pushed: dict[str, Any] = {}
    context = {"ti": SimpleNamespace(xcom_push=lambda key, value: pushed.__setitem__(key, value))}
    try:
        return (
            sensor.execute.__wrapped__(sensor, context)
            if hasattr(sensor.execute, "__wrapped__")
            else sensor.execute(context)
        )
    except TaskDeferred as deferred:
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


def execution_sensor(fake: FakeSageMaker, *, deferrable: bool, **kwargs: Any) -> SageMakerPipelineExecutionSensor:
    (arn,) = fake.executions
    return SageMakerPipelineExecutionSensor(
        **{"task_id": "wait", "execution_arn": arn, "aws_conn_id": None, "poke_interval": 0.1, **kwargs},
        deferrable=deferrable,
        botocore_config=NO_RETRIES,
    )


def step_sensor(fake: FakeSageMaker, step: str, *, deferrable: bool, **kwargs: Any) -> SageMakerPipelineStepSensor:
    (arn,) = fake.executions
    return SageMakerPipelineStepSensor(
        **{"task_id": "wait", "execution_arn": arn, "aws_conn_id": None, "poke_interval": 0.1, **kwargs},
        step_name=step,
        deferrable=deferrable,
        botocore_config=NO_RETRIES,
    )


WAYS = pytest.mark.parametrize("deferrable", [False, True], ids=["poke", "deferred"])


@WAYS
@pytest.mark.parametrize(
    ("status", "arguments", "outcome"),
    [
        ("Succeeded", {}, None),
        ("Failed", {}, AirflowFailException),
        ("Failed", {"soft_fail": True}, AirflowSkipException),
        ("Stopped", {}, AirflowFailException),
        ("Stopped", {"on_stopped": "succeed"}, None),
        ("Stopped", {"on_stopped": "skip"}, AirflowSkipException),
        ("CompletedWithFailures", {}, AirflowFailException),
        ("CompletedWithFailures", {"on_completed_with_failures": "succeed"}, None),
    ],
)
def test_an_execution_s_end_means_what_the_author_says(
    fake: FakeSageMaker, status: str, arguments: dict[str, Any], outcome: type[Exception] | None, deferrable: bool
) -> None:
    script(fake, ["Executing", "Stopping", "Paused", status], FAILED_STEPS)
    sensor = execution_sensor(fake, deferrable=deferrable, **arguments)
    if outcome is None:
        assert run(sensor)["status"] == status
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
        ("Train", ["Stopped"], STOPPED_STEPS, {}, AirflowFailException),
        ("Train", ["Stopped"], STOPPED_STEPS, {"on_stopped": "skip"}, AirflowSkipException),
        ("Register", ["Executing", "Succeeded"], SUCCEEDED_STEPS, {}, AirflowSkipException),
        ("Register", ["Executing", "Succeeded"], SUCCEEDED_STEPS, {"on_not_run": "fail"}, AirflowFailException),
        ("Register", ["Executing", "Succeeded"], SUCCEEDED_STEPS, {"on_not_run": "succeed"}, None),
    ],
)
def test_a_step_s_end_means_what_the_author_says(
    fake: FakeSageMaker,
    step: str,
    statuses: list[str],
    steps: list[dict[str, Any]],
    arguments: dict[str, Any],
    outcome: type[Exception] | None,
    deferrable: bool,
) -> None:
    script(fake, statuses, steps)
    sensor = step_sensor(fake, step, deferrable=deferrable, **arguments)
    if outcome is not None:
        with pytest.raises(outcome, match=step):
            run(sensor)
    elif step == "Train":
        assert run(sensor)["job_arn"] == SUCCEEDED_STEPS[0]["Metadata"]["TrainingJob"]["Arn"]
    else:
        assert run(sensor) is None


@WAYS
def test_an_end_that_is_there_at_the_first_look_is_skipped_softly(fake: FakeSageMaker, deferrable: bool) -> None:
    script(fake, ["Failed"], FAILED_STEPS)
    with pytest.raises(AirflowSkipException):
        run(execution_sensor(fake, deferrable=deferrable, soft_fail=True))


@WAYS
def test_time_is_up(fake: FakeSageMaker, deferrable: bool) -> None:
    script(fake, ["Executing"], [])
    for sensor in (
        execution_sensor(fake, deferrable=deferrable, timeout=0.2),
        step_sensor(fake, "Train", deferrable=deferrable, timeout=0.2),
    ):
        with pytest.raises(AirflowSensorTimeout):
            run(sensor)
    with pytest.raises(AirflowSkipException):
        run(execution_sensor(fake, deferrable=deferrable, timeout=0.2, soft_fail=True))


@WAYS
def test_throttling_is_waited_out_and_a_wrong_arn_is_not(fake: FakeSageMaker, deferrable: bool) -> None:
    script(fake, ["Succeeded"])
    fake.fail_next("DescribePipelineExecution", Fault("ThrottlingException", times=2))
    assert run(execution_sensor(fake, deferrable=deferrable))["status"] == "Succeeded"
    with pytest.raises(AirflowFailException, match="ResourceNotFound"):
        run(
            execution_sensor(
                fake, deferrable=deferrable, execution_arn="arn:aws:sagemaker:us-east-1:1:pipeline/p/execution/x"
            )
        )


def test_an_outcome_that_is_none_is_refused(fake: FakeSageMaker) -> None:
    with pytest.raises(AirflowFailException, match="on_stopped='ignore'"):
        run(execution_sensor(fake, deferrable=True, on_stopped="ignore"))
    with pytest.raises(AirflowFailException, match="on_not_run='x'"):
        run(step_sensor(fake, "Train", deferrable=False, on_not_run="x"))
