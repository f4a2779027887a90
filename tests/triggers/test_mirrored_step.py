"""The trigger of one step's task: how it ends the task, what it shows, and whose end stops the execution."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from airflow_sm_pipelines.runs.repair import mark_step
from airflow_sm_pipelines.runs.step_repairer import StepMemory
from airflow_sm_pipelines.triggers import mirrored_step
from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"
TASK = SimpleNamespace(dag_id="d", run_id="r", task_id="g.steps.B", map_index=-1, try_number=2)


def make_trigger(**arguments: Any) -> SageMakerMirroredStepTrigger:
    found = SageMakerMirroredStepTrigger(
        step_name="B", run_task_id="g.run", ended_task_id="g.ended", step_prefix="g.steps.", **arguments
    )
    found.task_instance = TASK  # type: ignore[assignment]
    return found


def report(status: str, **steps: str) -> ExecutionReport:
    found = (StepReport(name, "Training", state, start_time=state) for name, state in steps.items())
    return ExecutionReport(ARN, status, steps=tuple(found))


@pytest.mark.parametrize(
    ("verdict", "event"), [("succeed", TaskSuccessEvent), ("fail", TaskFailedEvent), ("skip", TaskSkippedEvent)]
)
def test_it_ends_its_task_without_a_worker(verdict: str, event: type) -> None:
    trigger = make_trigger()
    assert isinstance(trigger.make_event({"verdict": verdict}), event)
    assert trigger.hold_seconds() == 0


def test_where_a_worker_has_deferred_the_worker_goes_on_with_the_payload() -> None:
    trigger = make_trigger(mirrored={"arn": ARN, "began": None, "old_mark": None})
    assert trigger.make_event({"verdict": "skip"}).payload == {"verdict": "skip"}


def test_it_waits_for_its_step_and_takes_no_end_from_before_a_repair_for_it() -> None:
    trigger = make_trigger()
    assert not trigger.is_over(report("Executing", A="Succeeded", B="Executing"))
    assert trigger.is_over(report("Executing", B="Failed"))
    assert trigger.is_over(report("Failed", A="Failed"))
    check = StepReport("Check", "Condition", "Succeeded", metadata={"Condition": {"Outcome": "False"}})
    assert make_trigger(branches=[["Check", True]]).is_over(ExecutionReport(ARN, "Executing", steps=(check,)))
    assert not make_trigger(branches=[["Check", False]]).is_over(ExecutionReport(ARN, "Executing", steps=(check,)))
    trigger._old_mark = mark_step(report("Failed", B="Failed"), "B")
    assert not trigger.is_over(report("Executing", B="Failed"))
    assert trigger.is_over(report("Executing", B="Succeeded"))
    assert [step.name for step in trigger.select_shown(report("Executing", A="Failed", B="Executing")).steps] == ["B"]


@pytest.mark.parametrize(
    ("state", "kept", "is_stopped"),
    [
        ("failed", None, True),
        ("skipped", None, True),
        ("deleted", None, True),
        (None, None, False),
        ("deferred", None, False),
        ("failed", "failed", False),
        ("success", "failed", True),
    ],
)
def test_only_the_end_of_the_last_task_during_this_attempt_stops_the_execution(
    state: str | None, kept: str | None, is_stopped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[str] = []
    monkeypatch.setattr(mirrored_step, "request_task_state", lambda task: state if task.task_id == "g.ended" else "x")
    monkeypatch.setattr(mirrored_step, "stop_now", lambda arn, **_: stopped.append(arn))
    trigger = make_trigger()
    trigger.execution_arn = ARN
    trigger._record = SimpleNamespace(memory=StepMemory(2, kept=kept))  # type: ignore[assignment]
    trigger._stop_if_group_ended()
    assert stopped == ([ARN] if is_stopped else [])


def test_a_moment_without_an_answer_fails_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrored_step, "PAUSES", (0.0, 0.0))
    answers = [PipelineUnavailableError("busy", code="Throttling"), "done"]

    def work() -> object:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert asyncio.run(make_trigger()._insist(work)) == "done"


def test_the_groups_time_counts_from_the_begin_of_its_execution() -> None:
    trigger = make_trigger(max_wait_seconds=60)
    assert trigger._plan_deadline("2026-11-30T10:00:00+00:00") == "2026-11-30T10:01:00+00:00"
    assert trigger._plan_deadline(None) is None
    assert make_trigger()._plan_deadline("2026-11-30T10:00:00+00:00") is None
