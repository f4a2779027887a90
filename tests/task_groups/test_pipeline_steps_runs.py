"""Task groups of pipelines under ``airflow dags test``, beside the real local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.definition import parse_definition
from airflow_sm_pipelines.definition.shape import make_shape, render_shape

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow

DAG = """
from airflow.sdk import DAG
from airflow_sm_pipelines import SageMakerPipelineTaskGroup

with DAG("gate", schedule=None, params={"Score": 0.9}, default_args={"retries": 2}):
    gate = SageMakerPipelineTaskGroup(
        "gate",
        pipeline="gate.json",
        pipeline_name="gate",
        role_arn="arn:aws:iam::123456789012:role/SageMakerExecution",
        shape="gate.shape.json",
        parameters={"Score": "{{ params.Score }}"},
        outputs={"passed": "Steps.Check.Outcome"},
        step_args={"waiter_delay": 1},
        run_args={"waiter_delay": 1},
    )
"""


@pytest.fixture(scope="module")
def gate(local: DagRunner, repository: Path) -> DagRunner:
    text = (repository / "dags/pipelines/gate/definition.json").read_text()
    local.write("gate.json", text)
    local.write("gate.shape.json", render_shape(make_shape(parse_definition(text))))
    local.write("gate_dag.py", DAG)
    return local


def states(result: Any) -> dict[str, str]:
    return {task_id.removeprefix("gate."): state for task_id, state in result.states.items()}


def test_a_step_in_the_branch_that_was_not_taken_is_skipped(gate: DagRunner) -> None:
    result = gate.test("gate")
    assert result.exit_code == 0, result.output[-6000:]
    assert states(result) == {
        "deploy": "success",
        "run": "success",
        "steps.Check": "success",
        "steps.Reject": "skipped",
        "ended": "success",
    }
    assert result.xcom("gate.steps.Check", "outcome") == "True"
    assert result.xcom("gate.ended", "passed") == "True"
    assert "Step 'Reject' did not run: condition 'Check' was True, so its branch was not taken" in result.output


def test_a_fail_step_fails_with_its_message_and_so_does_the_run(gate: DagRunner) -> None:
    result = gate.test("gate", conf={"Score": 0.1})
    assert result.exit_code == 1
    assert states(result) == {
        "deploy": "success",
        "run": "success",
        "steps.Check": "success",
        "steps.Reject": "failed",
        "ended": "failed",
    }
    assert "Too low: 0.1" in result.output
    assert result.xcom("gate.ended", "status") == "Failed"
