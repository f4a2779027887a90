"""A group's first and last task in this process: what ``run`` starts and leaves behind, and how ``ended`` judges."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.airflow_names import AirflowFailException, TaskDeferred
from airflow_sm_pipelines.airflow_task import group_record
from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, REPAIRS_KEY
from airflow_sm_pipelines.airflow_task.task_state_store import STOP_KEY
from airflow_sm_pipelines.definition.shape import PipelineShape, StepShape
from airflow_sm_pipelines.exceptions import PipelineExecutionFailedError
from airflow_sm_pipelines.operators.group_run import SageMakerJudgeGroupOperator, SageMakerStartGroupOperator
from tests.airflow_fakes import FAILED_STEPS, SUCCEEDED_STEPS
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

if TYPE_CHECKING:
    from tests.airflow_fakes import FakeSageMaker

pytestmark = pytest.mark.usefixtures("fake_is_aws", "no_pauses")

SHAPE = PipelineShape((StepShape("Train", "Training"), StepShape("Evaluate", "Processing", ("Train",))))
STEP_TASKS = {"Train": "g.steps.Train", "Evaluate": "g.steps.Evaluate"}
XComs = dict[tuple[Any, ...], Any]


@pytest.fixture
def fake(endpoint: tuple[FakeSageMaker, str]) -> FakeSageMaker:
    """The fake, with a pipeline ``p``."""
    endpoint[0].add_pipeline("p")
    return endpoint[0]


def make_run(**arguments: Any) -> SageMakerStartGroupOperator:
    usual = {"task_id": "run", "pipeline_name": "p", "aws_conn_id": None, "shape": SHAPE, "requested_outputs": None}
    choices = {"on_shape_change": "fail", "ended_task_id": "g.ended"}
    return with_log(SageMakerStartGroupOperator(**{**usual, **choices, **arguments}))


def make_ended(**arguments: Any) -> SageMakerJudgeGroupOperator:
    usual = {"task_id": "ended", "run_task_id": "g.run", "step_tasks": STEP_TASKS, "aws_conn_id": None}
    return with_log(SageMakerJudgeGroupOperator(**{**usual, **arguments}))


def with_log(operator: Any) -> Any:
    operator._cached_logger = logging.getLogger("task")
    return operator


def context_of(task_id: str, store: FakeTaskStateStore | None = None, **more: Any) -> Any:
    return make_context(FakeTaskInstance(task_id=task_id, **more), store=store or FakeTaskStateStore())


def test_run_notes_its_execution_for_the_group_and_who_stops_it(fake: FakeSageMaker, xcoms: XComs) -> None:
    xcoms["d", "r", "g.run", 2, REPAIRS_KEY] = ["from before the clear"]
    fake.statuses = ["Executing"]
    store = FakeTaskStateStore()
    result = make_run(on_clear="resume").execute(context_of("g.run", store, map_index=2))
    (arn,) = fake.executions
    assert (result["pipeline_execution_arn"], result["status"]) == (arn, "Executing")
    assert xcoms["d", "r", "g.run", 2, GROUP_KEY]["arn"] == arn
    assert xcoms["d", "r", "g.run", 2, GROUP_KEY]["began"].startswith("20")
    assert xcoms["d", "r", "g.run", 2, REPAIRS_KEY] == []
    kept = store.values[STOP_KEY]
    assert "g.ended" in kept.values()
    assert kept["aws_conn_id"] is None

    store = FakeTaskStateStore()
    make_run(stop_on_kill=False).execute(context_of("g.run", store, run_id="r2"))
    assert STOP_KEY not in store.values


def test_a_run_that_is_tried_again_after_a_failure_starts_no_other_execution(fake: FakeSageMaker, xcoms: XComs) -> None:
    store = FakeTaskStateStore()
    first = make_run().execute(context_of("g.run", store))
    fake.executions[first["pipeline_execution_arn"]].statuses = ["Failed"]
    again = make_run().execute(context_of("g.run", store, try_number=2))
    assert again["pipeline_execution_arn"] == first["pipeline_execution_arn"]
    assert len(fake.executions) == 1


def test_a_pipeline_of_another_shape_is_refused_or_told_by_the_step_that_differs(
    fake: FakeSageMaker, xcoms: XComs, caplog: pytest.LogCaptureFixture
) -> None:
    other = PipelineShape((*SHAPE.steps, StepShape("Register", "RegisterModel")))
    with pytest.raises(AirflowFailException, match=r"'p' has another shape.*Register"):
        make_run(shape=other).execute(context_of("g.run"))
    assert fake.executions == {}
    make_run(shape=other, on_shape_change="warn").execute(context_of("g.run"))
    assert "Register" in caplog.text
    make_run(shape=None).execute(context_of("g.run", run_id="r2"))
    assert len(fake.executions) == 2


def test_whatever_comes_of_an_execution_its_start_has_succeeded() -> None:
    policy, _ = make_run()._check_arguments()
    statuses = ("Succeeded", "Failed", "Stopped", "CompletedWithFailures", "Executing", "Stopping", "SomethingNew")
    found = [str(policy.verdict(status).value) for status in statuses]
    assert found == ["succeed"] * 4 + ["wait"] * 3


def test_an_output_that_the_pipeline_cannot_give_is_refused_before_the_start(fake: FakeSageMaker, xcoms: XComs) -> None:
    with pytest.raises(AirflowFailException, match="Trian"):
        make_run(requested_outputs={"m": "Steps.Trian.ModelArtifacts.S3ModelArtifacts"}).execute(context_of("g.run"))
    assert fake.executions == {}


def start(fake: FakeSageMaker, xcoms: XComs, status: str, steps: list[dict[str, Any]]) -> str:
    fake.statuses, fake.steps = [status], steps
    fake.failure_reason = "A step failed"
    arn: str = fake.op_StartPipelineExecution({"PipelineName": "p", "ClientRequestToken": f"t{len(fake.executions)}"})[
        "PipelineExecutionArn"
    ]
    xcoms.setdefault(("d", "r", "g.run", -1, GROUP_KEY), {"arn": arn, "began": "2026-11-30T10:00:00+00:00"})
    return arn


def test_ended_publishes_a_run_and_names_steps_that_have_no_task(
    fake: FakeSageMaker, xcoms: XComs, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = start(fake, xcoms, "Succeeded", SUCCEEDED_STEPS)
    states = {"r": {"g.steps.Train": "failed"}}
    monkeypatch.setattr(group_record, "request_states", lambda *_: states)
    context = context_of("g.ended")
    operator = make_ended(step_tasks={"Train": "g.steps.Train"}, outputs={"name": "Steps.Train.TrainingJobName"})
    result = operator.execute(context)
    assert (result["pipeline_name"], result["pipeline_execution_arn"], result["status"]) == ("p", arn, "Succeeded")
    assert result["name"] == "pipelines-abc-Train"
    assert context["ti"].pushed == result
    assert "Steps without a task in this group, whose shape is older: Evaluate" in caplog.text
    assert "Task g.steps.Train is failed, but its step is Succeeded" in caplog.text


def test_ended_fails_without_retries_with_the_step_that_failed(fake: FakeSageMaker, xcoms: XComs) -> None:
    arn = start(fake, xcoms, "Failed", FAILED_STEPS)
    with pytest.raises(AirflowFailException, match="AlgorithmError: exit code 3") as caught:
        make_ended().execute(context_of("g.ended"))
    assert arn in str(caught.value)


def test_a_group_without_an_execution_names_the_task_that_should_have_started_it(
    fake: FakeSageMaker, xcoms: XComs
) -> None:
    for method in ("execute", "execute_complete"):
        with pytest.raises(AirflowFailException, match=r"no execution: see task 'g\.run'"):
            getattr(make_ended(), method)(context_of("g.ended"))


def test_ended_waits_for_each_execution_of_its_run_and_counts_each_step_as_its_newest_has_it(
    fake: FakeSageMaker, xcoms: XComs
) -> None:
    root = start(fake, xcoms, "Failed", FAILED_STEPS)
    mended = start(fake, xcoms, "Executing", [SUCCEEDED_STEPS[1]])
    repair = {"arn": mended, "steps": ["Evaluate"], "source": root, "token": "t1", "root": root}
    xcoms["d", "r", "g.run", -1, REPAIRS_KEY] = [{**repair, "began": None, "is_refused": False}]
    with pytest.raises(TaskDeferred) as caught:
        make_ended(deferrable=True).execute(context_of("g.ended"))
    assert caught.value.trigger.serialize()[1]["execution_arn"] == mended
    with pytest.raises(TaskDeferred) as again:
        make_ended(deferrable=True).execute_complete(context_of("g.ended"), None)
    assert again.value.trigger.serialize()[1]["execution_arn"] == mended

    fake.executions[mended].statuses = ["Succeeded"]
    fake.executions[root].statuses = ["Executing"]
    event = {"kind": "ended", "execution_arn": mended, "status": "Succeeded", "failure_reason": None}
    with pytest.raises(TaskDeferred) as other:
        make_ended(deferrable=True).execute_complete(context_of("g.ended"), event)
    assert other.value.trigger.serialize()[1]["execution_arn"] == root

    fake.executions[root].statuses = ["Failed"]
    result = make_ended(deferrable=True).execute_complete(context_of("g.ended"), event)
    assert result["status"] == "Succeeded"
    assert {step["name"]: step["status"] for step in result["steps"]} == {"Train": "Succeeded", "Evaluate": "Succeeded"}


def test_the_wait_of_ended_that_is_over_stops_the_execution(fake: FakeSageMaker, xcoms: XComs) -> None:
    arn = start(fake, xcoms, "Executing", SUCCEEDED_STEPS[:1])
    event = {"kind": "timeout", "execution_arn": arn, "status": "Executing", "failure_reason": None}
    with pytest.raises((PipelineExecutionFailedError, AirflowFailException), match=f"{arn} is still Executing"):
        make_ended().execute_complete(context_of("g.ended"), event)
    assert len(fake.executions[arn].stops) == 1
