"""Task groups of pipelines under ``airflow dags test``, beside the real local endpoint: what the tasks of each show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.shape import PipelineShape, StepShape, make_shape, render_shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_runs import DagResult, DagRunner

pytestmark = pytest.mark.slow

DAG = """
from airflow.sdk import DAG
from airflow_sm_pipelines import SageMakerPipelineTaskGroup

def make_group(name, shape="gate.shape.json", score=0.9, **arguments):
    SageMakerPipelineTaskGroup(
        name,
        pipeline="gate.json",
        pipeline_name=name,
        role_arn="arn:aws:iam::123456789012:role/SageMakerExecution",
        shape=shape,
        parameters={"Score": score},
        outputs={"passed": "Steps.Check.Outcome"},
        step_args={"waiter_delay": 1},
        run_args={"waiter_delay": 1},
        **arguments,
    )

with DAG("gates", schedule=None):
    make_group("passed")
    make_group("failed", score=0.1)
    make_group("strict", "old.shape.json")
    make_group("lax", "old.shape.json", on_shape_change="warn")
    make_group("unknown", None)
"""


@pytest.fixture(scope="module")
def result(local: DagRunner, repository: Path) -> DagResult:
    """What came of the DAG."""
    text = (repository / "dags/pipelines/gate/definition.json").read_text()
    old = PipelineShape((StepShape("Check", "Condition"), StepShape("Gone", "Lambda")))
    local.write("gate.json", text)
    local.write("gate.shape.json", render_shape(make_shape(parse_definition(text))))
    local.write("old.shape.json", render_shape(old))
    local.write("gates.py", DAG)
    return local.test("gates", timeout_seconds=600)


def states(result: DagResult, group: str) -> dict[str, str]:
    found = {task_id.partition(".") for task_id in result.states if isinstance(task_id, str)}
    return {name.removeprefix("steps."): result.states[f"{of}.{name}"] for of, _, name in found if of == group}


def test_each_task_ends_as_its_step_does(result: DagResult) -> None:
    begun = {"deploy": "success", "run": "success", "Check": "success"}
    assert states(result, "passed") == {**begun, "Reject": "skipped", "ended": "success"}, result.output[-6000:]
    assert states(result, "failed") == {**begun, "Reject": "failed", "ended": "failed"}
    assert result.xcom("passed.steps.Check", "outcome") == "True"
    assert result.xcom("passed.ended", "passed") == "True"
    assert result.xcom("failed.ended", "status") == "Failed"
    assert "condition 'Check' was True, so its branch was not taken" in result.output
    assert "Too low: 0.1" in result.output


def test_a_pipeline_of_another_shape_is_refused_before_the_start_or_runs_with_a_warning(result: DagResult) -> None:
    assert states(result, "strict")["run"] == "failed"
    assert states(result, "strict")["Check"] == "upstream_failed"
    assert "step 'Reject' is new; step 'Gone' is gone" in result.output
    assert states(result, "lax") == {
        "deploy": "success",
        "run": "success",
        "Check": "success",
        "Gone": "skipped",
        "ended": "success",
    }


def test_a_group_keeps_what_the_page_in_the_ui_shows(result: DagResult) -> None:
    started, ended = (result.xcom(f"failed.{task}", "sagemaker_execution") for task in ("run", "ended"))
    assert (started["status"], started["parameters"]) == ("Executing", {"Score": "0.1"})
    assert (ended["arn"], ended["status"], ended["pipeline"]) == (started["arn"], "Failed", "failed")
    assert [step["name"] for step in result.xcom("failed.run", "sagemaker_graph")["steps"]] == ["Check", "Reject"]
    records = {one["name"]: one for one in result.xcom("failed.ended", "sagemaker_steps")}
    assert records["Check"]["outcome"] == "False"
    assert records["Reject"]["status"] == "Failed"
    assert records["Reject"]["reason"]
    assert result.xcom("passed.ended", "sagemaker_execution")["outputs"] == {"passed": "True"}


def test_without_a_shape_each_step_is_a_mapped_task_that_ends_as_it_does(result: DagResult) -> None:
    found = states(result, "unknown")
    assert (found["names"], found["ended"]) == ("success", "success"), result.output[-6000:]
    assert result.xcom("unknown.names") == ["Check", "Reject"]
    assert [state for key, state in result.states.items() if key[0] == "unknown.step"] == ["success", "skipped"]
