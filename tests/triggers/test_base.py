"""What Airflow stores of a trigger makes the same trigger again, and a sensor's choices reach its trigger."""

from __future__ import annotations

import inspect
import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sm_pipelines import (
    SageMakerPipelineCallbackSensor,
    SageMakerPipelineExecutionSensor,
    SageMakerPipelineStepSensor,
)
from airflow_sm_pipelines.exceptions import PipelineAccessError
from airflow_sm_pipelines.triggers import base
from airflow_sm_pipelines.triggers.asset_events import (
    SageMakerPipelineCallbackEventTrigger,
    SageMakerPipelineExecutionEventTrigger,
)
from airflow_sm_pipelines.triggers.callback import SageMakerPipelineCallbackTrigger
from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger
from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger
from airflow_sm_pipelines.triggers.step import SageMakerPipelineStepTrigger

CONNECTION = {
    "aws_conn_id": "ours",
    "region_name": "eu-west-1",
    "verify": False,
    "botocore_config": {"connect_timeout": 3},
}
VALUES = {
    **CONNECTION,
    "execution_arn": "arn",
    "waiter_delay": 7.0,
    "progress_delay": 9.0,
    "deadline": "2026-11-30T10:00:00+00:00",
    "deferred_at": "2026-11-29T10:00:00+00:00",
    "max_refused_seconds": 11.0,
    "stop_on_kill": False,
    "stop_on_clear": False,
    "publish_steps": True,
    "stream_logs": True,
    "log_cursor": {"a": 1},
    "step_name": "Train",
    "run_task_id": "g.run",
    "ended_task_id": "g.ended",
    "step_prefix": "g.steps.",
    "branches": [["Check", True]],
    "max_wait_seconds": 13.0,
    "mirrored": {"arn": "arn", "began": None, "old_mark": None},
    "until_asked": True,
    "queue_url": "url",
    "queue": "queue",
    "pipelines": ["p"],
    "statuses": ["Failed"],
}
FIXED = {
    SageMakerPipelineStepTrigger: {"stop_on_kill": False},
    SageMakerMirroredStepTrigger: {"execution_arn": "", "stop_on_clear": True, "publish_steps": False},
}
"""The arguments that a trigger sets by itself: a kill of one step's task stops nothing, for example."""


@pytest.mark.parametrize(
    "trigger_class",
    [
        SageMakerPipelineExecutionTrigger,
        SageMakerPipelineStepTrigger,
        SageMakerMirroredStepTrigger,
        SageMakerPipelineCallbackTrigger,
        SageMakerPipelineCallbackEventTrigger,
        SageMakerPipelineExecutionEventTrigger,
    ],
)
def test_each_argument_is_stored_and_makes_the_same_trigger_again(trigger_class: Any) -> None:
    names = {
        name
        for one in trigger_class.__mro__
        if one.__module__.startswith("airflow_sm_pipelines.") and "__init__" in vars(one)
        for name, parameter in inspect.signature(one.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    given = {name: VALUES[name] for name in names}
    path, stored = trigger_class(**given).serialize()
    assert path == f"{trigger_class.__module__}.{trigger_class.__name__}"
    assert stored == {**given, **FIXED.get(trigger_class, {})}
    assert trigger_class(**json.loads(json.dumps(stored))).serialize() == (path, stored)


@pytest.mark.parametrize(
    ("sensor_class", "own"),
    [
        (SageMakerPipelineExecutionSensor, {"execution_arn": "arn"}),
        (SageMakerPipelineStepSensor, {"execution_arn": "arn", "step_name": "Train"}),
        (SageMakerPipelineCallbackSensor, {"execution_arn": "arn", "queue_url": "url"}),
    ],
)
def test_each_choice_of_a_sensor_reaches_its_trigger(sensor_class: Any, own: dict[str, Any]) -> None:
    sensor = sensor_class(task_id="t", poke_interval=7.0, max_refused_seconds=11, **own, **CONNECTION)
    _, stored = sensor.make_trigger("2026-11-30T10:00:00+00:00").serialize()
    expected = {**own, **CONNECTION, "waiter_delay": 7.0, "max_refused_seconds": 11.0}
    assert {**stored, **expected, "deadline": "2026-11-30T10:00:00+00:00"} == stored
    assert not stored.get("stop_on_kill"), "a sensor watches what others have started"


def test_an_event_is_held_back_until_the_worker_that_deferred_has_left_and_never_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(base, "WORKER_LEAVES_SECONDS", 10.0)
    now = datetime(2026, 11, 30, tzinfo=timezone.utc)
    waited = {seconds: (now - timedelta(seconds=seconds)).isoformat() for seconds in (-60, 0, 4, 10, 60)}
    holds = {seconds: base.plan_hold_seconds(text, now=now) for seconds, text in waited.items()}
    assert holds == {-60: 10.0, 0: 10.0, 4: 6.0, 10: 0.0, 60: 0.0}


def test_a_wait_that_broke_off_tells_the_code_and_the_execution() -> None:
    trigger = SageMakerPipelineExecutionTrigger(execution_arn="arn:of:it")
    denied = trigger.make_error_event(PipelineAccessError("may not", code="AccessDenied"))
    assert (denied["kind"], denied["code"], denied["execution_arn"]) == ("error", "AccessDenied", "arn:of:it")
    assert denied["message"] == "Waiting for arn:of:it broke off: may not"
    own = trigger.make_error_event(KeyError("x"))
    assert (own["code"], own["message"]) == ("KeyError", "Waiting for arn:of:it broke off: KeyError: 'x'")
