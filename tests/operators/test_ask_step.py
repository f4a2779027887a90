"""The operator of a Callback step that a person answers: when it asks, what it asks, and what it sends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from airflow.sdk.execution_time import task_runner

from airflow_sm_pipelines.airflow_names import TaskDeferred
from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY
from airflow_sm_pipelines.operators.ask_step import SageMakerAskStepOperator
from tests.airflow_objects import FakeTaskInstance, make_context

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

pytestmark = pytest.mark.usefixtures("fake_is_aws")

OUTPUTS = [
    {"OutputName": "reason", "OutputType": "String"},
    {"OutputName": "weight", "OutputType": "Float"},
]
DEFINITION = {
    "Version": "2020-12-01",
    "Steps": [{"Name": "Approve", "Type": "Callback", "SqsQueueUrl": "q", "OutputParameters": OUTPUTS}],
}
ANSWER = {"params_input": {"reason": "good", "weight": None}, "responded_by_user": {"id": "1", "name": "Ada"}}


def waiting(status: str = "Executing") -> list[dict[str, Any]]:
    callback = {"CallbackToken": "abcdefghij", "SqsQueueUrl": "q"}
    return [{"StepName": "Approve", "StepStatus": status, "StepType": "Callback", "Metadata": {"Callback": callback}}]


@pytest.fixture
def arn(fake: FakeSageMaker, xcoms: dict[tuple[Any, ...], Any]) -> str:
    """An execution whose step waits for its answer."""
    fake.add_pipeline("p", DEFINITION)
    fake.statuses, fake.steps = ["Executing"], waiting()
    found = fake.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": "t"})["PipelineExecutionArn"]
    xcoms["d", "r", "g.run", -1, GROUP_KEY] = {"arn": found, "began": "2026-11-30T10:00:00+00:00"}
    return str(found)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What Airflow is asked for."""
    found: list[Any] = []
    comms = SimpleNamespace(send=lambda msg: found.append(msg))
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    return found


def resume(event: dict[str, Any] | None, **arguments: Any) -> Any:
    """Go on with an event, or begin; the trigger for which the task then waits."""
    own = {"step_name": "Approve", "run_task_id": "g.run", "ended_task_id": "g.ended", "step_prefix": "g.steps."}
    operator = SageMakerAskStepOperator(task_id="t", aws_conn_id=None, **{**own, **arguments})
    context = make_context(FakeTaskInstance(task_id="g.steps.Approve"))
    context["ti"].id = uuid4()
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(context) if event is None else operator.execute_complete(context, event)
    assert caught.value.method_name == "execute_complete"
    return caught.value.trigger


def sent(fake: FakeSageMaker) -> list[tuple[str, dict[str, Any]]]:
    return [(name, request) for name, request in fake.calls if name.startswith("Send")]


def test_it_waits_until_the_step_waits_for_its_answer(arn: str) -> None:
    trigger = resume(None)
    assert (trigger.mirrored["arn"], trigger.until_asked) == (arn, True)


def test_it_asks_with_a_field_for_each_output_and_waits_for_the_answer_or_the_end(arn: str, asked: list[Any]) -> None:
    mirrored = {"arn": arn, "began": None, "old_mark": None}
    users = [{"id": "1", "name": "Ada"}]
    asking = {"kind": "asked", "links": {}, "mirrored": mirrored}
    trigger = resume(asking, subject="Go on?", body="Well?", assigned_users=users)
    (question,) = [one for one in asked if hasattr(one, "subject")]
    assert (question.subject, question.body, question.options) == ("Go on?", "Well?", ["Approve", "Reject"])
    assert [(one.id, one.name) for one in question.assigned_users] == [("1", "Ada")]
    assert {name: one["schema"]["type"] for name, one in question.params.items()} == {
        "reason": ["null", "string"],
        "weight": ["null", "number"],
    }
    assert (type(trigger).__name__, trigger.mirrored) == ("SageMakerAskedStepTrigger", mirrored)
    assert trigger.ti_id == str(question.ti_id)


def test_an_approval_ends_the_step_with_the_fields_of_the_form(arn: str, fake: FakeSageMaker) -> None:
    trigger = resume({"chosen_options": ["Approve"], **ANSWER})
    ((name, request),) = sent(fake)
    assert (name, request["CallbackToken"]) == ("SendPipelineExecutionStepSuccess", "abcdefghij")
    assert request["OutputParameters"] == [{"Name": "reason", "Value": "good"}]
    assert (trigger.mirrored["arn"], trigger.until_asked) == (arn, False)


@pytest.mark.usefixtures("arn")
def test_a_rejection_fails_the_step_with_its_reason(fake: FakeSageMaker) -> None:
    resume({"chosen_options": ["Reject"], **ANSWER}, failure_reason="Too bad")
    ((name, request),) = sent(fake)
    assert (name, request["FailureReason"]) == ("SendPipelineExecutionStepFailure", "Too bad")


def test_an_answer_that_comes_too_late_is_not_sent(arn: str, fake: FakeSageMaker) -> None:
    fake.executions[arn].steps = waiting("Succeeded")
    resume({"chosen_options": ["Approve"], **ANSWER})
    assert sent(fake) == []
