"""The calls of a repair: each once, whatever is lost, whoever else repairs, and however often the task begins anew."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.exceptions import (
    PipelineExecutionFailedError,
    PipelineRequestError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.runs import step_repairer
from airflow_sm_pipelines.runs.repair import GroupExecution, mark_step
from airflow_sm_pipelines.runs.step_repairer import Mirrored, StepMemory, StepRepairer, begin_attempt, parse_memory

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e{}"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
DEFINITION = json.dumps(
    {
        "Version": "2020-12-01",
        "Steps": [
            {"Name": name, "Type": "Lambda", "FunctionArn": FUNCTION, "Arguments": {}, "DependsOn": after}
            for name, after in (("A", []), ("B", ["A"]), ("C", ["A"]), ("D", ["B", "C"]))
        ],
    }
)


class Service:
    """SageMaker as far as a repair sees it: tokens are remembered, and answers may be lost."""

    def __init__(self, **steps: str) -> None:
        status = "Failed" if "Failed" in steps.values() else "Succeeded"
        self.executions = {ARN.format(0): make_report(0, status, **steps)}
        self.tokens: dict[str, str] = {}
        self.requests: list[dict[str, Any]] = []
        self.lost = 0
        self.refusal: PipelineRequestError | None = None

    def describe_report(self, arn: str) -> ExecutionReport:
        return self.executions[arn]

    def describe_execution(self, arn: str) -> ExecutionReport:
        return replace(self.executions[arn], pipeline_version_id=3)

    def describe_execution_definition(self, arn: str) -> str:
        return DEFINITION

    def list_execution_parameters(self, arn: str) -> dict[str, str]:
        return {"Day": "monday"}

    def retry_execution(self, arn: str, *, token: str) -> None:
        if self.tokens.setdefault(token, arn) == arn and self.executions[arn].is_terminal:
            left = [step for step in self.executions[arn].steps if step.status == "Succeeded"]
            self.executions[arn] = replace(self.executions[arn], status="Executing", steps=tuple(left))
        self._answer()

    def start_execution(self, request: dict[str, Any], *, token: str) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.requests.append(request)
        arn = self.tokens.setdefault(token, ARN.format(len(self.executions)))
        self.executions.setdefault(arn, make_report(len(self.executions), "Executing"))
        self._answer()
        return arn

    def _answer(self) -> None:
        if self.lost:
            self.lost -= 1
            raise PipelineUnavailableError("no answer", code="ReadTimeoutError")


class Record:
    """The XComs of a group, with the view of one task."""

    def __init__(self, shared: dict[str, Any], memory: StepMemory) -> None:
        self.shared = shared
        self.memory = memory

    def read_executions(self) -> tuple[GroupExecution, ...]:
        first = GroupExecution(ARN.format(0), root=ARN.format(0))
        return (first, *(one for one in self.shared["repairs"].values() if not one.is_refused))

    def save_execution(self, entry: GroupExecution) -> None:
        self.shared["repairs"][entry.token] = entry

    def save_memory(self) -> None:
        self.shared["saved"] = self.memory.to_json()

    def find_cleared(self, steps: tuple[str, ...]) -> frozenset[str]:
        return frozenset(self.shared["cleared"])


def make_report(number: int, status: str, **steps: str) -> ExecutionReport:
    found = (StepReport(name, "Lambda", state, start_time=f"{number}") for name, state in steps.items())
    return ExecutionReport(ARN.format(number), status, steps=tuple(found))


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step_repairer, "SETTLE_SECONDS", 0.0)


def make(service: Service, step: str, *, cleared: str, shared: dict[str, Any] | None = None) -> StepRepairer:
    """The second attempt of a step's task, whose first one has shown the step's end."""
    shared = {"repairs": {}, "cleared": cleared} if shared is None else shared
    report = service.executions[ARN.format(0)]
    memory = StepMemory(2, seen=(report.arn, mark_step(report, step)))
    return StepRepairer(service, Record(shared, memory), step=step, description="d", log=logging.getLogger())  # type: ignore[arg-type]


def look(repairer: StepRepairer, *, most: int = 5) -> Mirrored:
    """Look until there is an execution to mirror."""
    for _ in range(most):
        try:
            found = repairer.look()
        except PipelineUnavailableError:
            continue
        if found is not None:
            return found
    raise AssertionError("nothing to mirror")


FAILED = {"A": "Succeeded", "B": "Failed", "C": "Succeeded"}
SUCCEEDED = dict.fromkeys("ABCD", "Succeeded")


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_failed_step_resumes_its_execution_once_even_if_answers_are_lost(lost: int) -> None:
    service = Service(**FAILED)
    service.lost = lost
    repairer = make(service, "B", cleared="B")
    old = mark_step(service.executions[ARN.format(0)], "B")
    found = look(repairer)
    assert (found.arn, found.old_mark) == (ARN.format(0), old)
    assert len(service.tokens) == 1
    assert found.began is not None


def test_another_triggerer_takes_a_resume_up_and_does_not_make_another() -> None:
    service = Service(**FAILED)
    first = make(service, "B", cleared="B")
    look(first)
    service.executions[ARN.format(0)] = make_report(7, "Failed", A="Succeeded", B="Failed")
    service.executions[ARN.format(0)] = replace(service.executions[ARN.format(0)], arn=ARN.format(0))
    memory = parse_memory(first._record.shared["saved"])  # type: ignore[attr-defined]
    assert memory is not None
    record = Record({"repairs": {}, "cleared": "B"}, memory)
    again = StepRepairer(service, record, step="B", description="d", log=logging.getLogger())  # type: ignore[arg-type]
    assert look(again).arn == ARN.format(0)
    assert len(service.tokens) == 1


def test_two_failed_steps_make_the_same_call() -> None:
    service = Service(A="Succeeded", B="Failed", C="Failed")
    repairers = [make(service, step, cleared="BC") for step in "BC"]
    assert [repairer.look() for repairer in repairers] == [None, None]
    assert {look(repairer).arn for repairer in repairers} == {ARN.format(0)}
    assert len(service.tokens) == 1


@pytest.mark.parametrize("lost", [0, 1])
def test_succeeded_steps_run_again_in_one_execution_with_the_sources_version_and_parameters(lost: int) -> None:
    service = Service(**SUCCEEDED)
    service.lost = lost
    shared: dict[str, Any] = {"repairs": {}, "cleared": "BC"}
    repairers = [make(service, step, cleared="BC", shared=shared) for step in "BC"]
    assert [repairer.look() for repairer in repairers] == [None, None]
    assert [look(repairer).arn for repairer in repairers] == [ARN.format(1)] * 2
    assert len(service.executions) == 2
    request = service.requests[0]
    assert all(one == request for one in service.requests)
    assert request == {
        "PipelineName": "p",
        "PipelineVersionId": 3,
        "PipelineExecutionDisplayName": "repair-of-e0",
        "PipelineExecutionDescription": "d",
        "PipelineParameters": [{"Name": "Day", "Value": "monday"}],
        "SelectiveExecutionConfig": {
            "SourcePipelineExecutionArn": ARN.format(0),
            "SelectedSteps": [{"StepName": name} for name in "BCD"],
        },
    }
    assert shared["saved"]["arn"] == ARN.format(1)


def test_a_refused_selection_says_to_clear_run_and_is_forgotten() -> None:
    service = Service(**SUCCEEDED)
    service.refusal = PipelineRequestError("the source may not be used", code="ValidationException")
    shared: dict[str, Any] = {"repairs": {}, "cleared": "B"}
    repairer = make(service, "B", cleared="B", shared=shared)
    assert repairer.look() is None
    with pytest.raises(PipelineExecutionFailedError, match="the source may not be used Clear the task 'run'"):
        repairer.look()
    assert [one.is_refused for one in shared["repairs"].values()] == [True]


def test_a_repair_waits_for_what_still_runs() -> None:
    service = Service(**FAILED)
    service.executions[ARN.format(0)] = replace(service.executions[ARN.format(0)], status="Executing")
    repairer = make(service, "B", cleared="B")
    assert (repairer.look(), repairer.delay_seconds) == (None, step_repairer.END_SECONDS)
    assert not service.tokens


def test_without_an_execution_there_is_nothing_to_mirror() -> None:
    record = Record({"repairs": {}, "cleared": ""}, StepMemory(1))
    record.read_executions = tuple  # type: ignore[method-assign, assignment]
    repairer = StepRepairer(Service(**FAILED), record, step="B", description="d", log=logging.getLogger())  # type: ignore[arg-type]
    with pytest.raises(PipelineExecutionFailedError, match="started no execution"):
        repairer.look()


def test_what_the_trigger_of_a_cleared_task_shows_after_the_clear_is_not_taken_for_an_end_that_was_seen() -> None:
    known = StepMemory(1, seen=("arn", "failed"), ended_at=100.0)
    assert begin_attempt(known, 2, began_at=160.0).seen == ("arn", "failed")
    assert begin_attempt(known, 2, began_at=90.0).seen is None
    late = StepMemory(2, seen=("arn", "succeeded"), before=("arn", "failed"), ended_at=100.0)
    assert begin_attempt(late, 3, began_at=90.0).seen == ("arn", "failed")
    assert begin_attempt(late, 2, began_at=90.0) is late
    assert begin_attempt(late, 3, began_at=None).seen == ("arn", "succeeded")
    assert begin_attempt(None, 1, began_at=90.0) == StepMemory(1)
    assert parse_memory(late.to_json()) == late
