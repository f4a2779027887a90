"""The tasks that a group makes of a shape, their edges and arguments, and what is refused at parse."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerPipelineTaskGroup
from airflow_sm_pipelines.definition.shape import PipelineShape, StepShape, render_shape
from airflow_sm_pipelines.exceptions import ArgumentError, DefinitionError
from airflow_sm_pipelines.operators.mirror_step import SageMakerMirrorStepOperator

if TYPE_CHECKING:
    from pathlib import Path

SHAPE = PipelineShape(
    (
        StepShape("Train", "Training"),
        StepShape("Evaluate", "Processing", ("Train",)),
        StepShape("Check", "Condition", ("Evaluate",)),
        StepShape("run", "Processing", ("Check",)),
        StepShape("Mend", "Lambda", ("Train",), ("Train",)),
    )
)


def make_group(**arguments: Any) -> SageMakerPipelineTaskGroup:
    with DAG("group", schedule=None, default_args={"retries": 5}):
        return SageMakerPipelineTaskGroup("train", **{"pipeline_name": "p", "shape": SHAPE, **arguments})


def test_each_step_is_a_task_of_the_inner_group_with_the_edges_of_the_shape() -> None:
    group = make_group(pipeline="train.py", pipeline_name=None, role_arn="r")
    found = {task.task_id: task.downstream_task_ids for task in group.dag.tasks}
    assert found == {
        "train.deploy": {"train.run"},
        "train.run": {"train.steps.Train", "train.ended"},
        "train.steps.Train": {"train.steps.Evaluate", "train.steps.Mend", "train.ended"},
        "train.steps.Evaluate": {"train.steps.Check", "train.ended"},
        "train.steps.Check": {"train.steps.run", "train.ended"},
        "train.steps.run": {"train.ended"},
        "train.steps.Mend": {"train.ended"},
        "train.ended": set(),
    }


def test_what_follows_the_group_waits_for_the_last_task_alone_and_a_step_can_be_followed_by_itself() -> None:
    with DAG("group", schedule=None):
        before, after, notify = (EmptyOperator(task_id=name) for name in ("before", "after", "notify"))
        group = SageMakerPipelineTaskGroup("train", pipeline_name="p", shape=SHAPE)
        before >> group >> after
        group.steps["Evaluate"] >> notify
    assert after.upstream_task_ids == {"train.ended"}
    assert before.downstream_task_ids == {"train.run"}
    assert notify.upstream_task_ids == {"train.steps.Evaluate"}


def test_a_wrong_step_is_refused_with_the_nearest_one() -> None:
    group = make_group()
    with pytest.raises(ArgumentError, match=r"no step 'Evalute'\. Did you mean 'Evaluate'\?"):
        group.steps["Evalute"]
    with pytest.raises(ArgumentError, match=r"no step 'xyz'\. It has .*Train.*\.$"):
        group.steps["xyz"]
    assert "Evaluate" in group.steps
    assert len(group.steps) == 5


def test_steps_are_not_retried_unless_the_author_says_so() -> None:
    group = make_group(step_args={"waiter_delay": 3})
    assert {task.retries for task in group.steps.values()} == {0}
    assert group.run.retries == 5
    assert group.steps["Train"].waiter_delay == 3
    assert make_group(step_args={"retries": 2}).steps["Train"].retries == 2


def test_the_tasks_begin_in_the_triggerer_and_one_after_a_failure_waits_for_any_end() -> None:
    group = make_group(max_wait_seconds=60, region_name="eu-west-1")
    step = group.steps["Train"]
    arguments = step.start_trigger_args.trigger_kwargs
    assert step.start_from_trigger
    assert arguments["run_task_id"] == "train.run"
    assert arguments["ended_task_id"] == "train.ended"
    assert arguments["step_prefix"] + "Train" == step.task_id
    assert (arguments["max_wait_seconds"], arguments["region_name"]) == (60, "eu-west-1")
    assert {name: task.trigger_rule.value for name, task in group.steps.items() if name in ("Mend", "run")} == {
        "Mend": "all_done",
        "run": "none_failed",
    }
    assert group.ended.trigger_rule.value == "all_done"


def test_arguments_of_the_run_go_to_the_task_that_needs_them() -> None:
    group = make_group(
        outputs={"rmse": "Steps.Train.FinalMetricDataList['rmse'].Value"},
        run_args={"max_parallel_steps": 2, "on_stopped": "skip", "assets": {"rmse": "models"}, "retries": 1},
    )
    assert (group.run.max_parallel_steps, group.run.on_stopped, group.run.retries) == (2, "fail", 1)
    assert (group.ended.on_stopped, group.ended.assets, group.ended.retries) == ("skip", {"rmse": "models"}, 1)
    assert group.output["rmse"].operator is group.ended
    with pytest.raises(ArgumentError, match="run_args cannot hold 'on_retry'"):
        make_group(run_args={"on_retry": "resume"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"pipeline_name": None}, "give pipeline"),
        ({"pipeline": "train.py", "version": 3}, "leave version out"),
        ({"on_shape_change": "ignore"}, "on_shape_change='ignore'"),
        ({"aws_conn_id": "{{ params.conn }}"}, "aws_conn_id"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        make_group(**arguments)
    assert message in str(caught.value)


def test_a_shape_is_a_file_beside_the_dag(tmp_path: Path) -> None:
    path = tmp_path / "train.shape.json"
    path.write_text(render_shape(SHAPE))
    assert tuple(make_group(shape=str(path)).steps) == SHAPE.names
    with pytest.raises(DefinitionError, match="Write it with `sm-pipelines shape`"):
        make_group(shape=str(tmp_path / "none.json"))


CALLS = PipelineShape((StepShape("Approve", "Callback"), StepShape("Train", "Training", ("Approve",))))


def test_a_callback_step_that_a_person_answers_begins_in_a_worker_and_the_others_do_not() -> None:
    group = make_group(shape=CALLS, callbacks={"Approve": {"subject": "Go on?"}}, step_args={"waiter_delay": 3})
    approve: Any = group.steps["Approve"]
    assert (approve.subject, approve.waiter_delay, approve.start_from_trigger) == ("Go on?", 3, False)
    assert type(group.steps["Train"]) is SageMakerMirrorStepOperator
    plain: Any = make_group(shape=CALLS, callbacks={"Approve": "required_action"}).steps["Approve"]
    assert plain.subject == "Shall step Approve of the pipeline succeed?"
    assert type(make_group(shape=CALLS).steps["Approve"]) is SageMakerMirrorStepOperator


@pytest.mark.parametrize(
    ("callbacks", "message"),
    [
        ({"Aprove": "required_action"}, "no Callback step.*'Approve'"),
        ({"Train": "required_action"}, "no Callback step. It is of type Training"),
        ({"Approve": "required-action"}, "expected 'required_action', or a mapping with"),
        ({"Approve": {"options": []}}, "expected 'required_action', or a mapping with"),
    ],
)
def test_a_question_about_another_step_or_of_another_form_is_refused(callbacks: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_group(shape=CALLS, callbacks=callbacks)


def test_without_a_shape_one_mapped_task_stands_for_the_steps_that_are_named_at_run_time() -> None:
    group = make_group(shape=None, step_args={"waiter_delay": 3})
    found = {task.task_id: task.downstream_task_ids for task in group.dag.tasks}
    assert found == {
        "train.run": {"train.names", "train.step", "train.ended"},
        "train.names": {"train.step"},
        "train.step": {"train.ended"},
        "train.ended": set(),
    }
    mapped: Any = group.mapped_steps
    assert (mapped.is_mapped, mapped.partial_kwargs["poke_interval"], mapped.retries) == (True, 3, 0)
    with pytest.raises(ArgumentError, match="The group has no shape, so step 'Train' has no task"):
        _ = group.steps["Train"]
    with pytest.raises(ArgumentError, match=r"which is no Callback step\. The group has no shape"):
        make_group(shape=None, callbacks={"Approve": "required_action"})
