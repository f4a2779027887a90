"""The examples whose pipelines start no job, unchanged, beside the real local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


def test_sensors_wait_for_an_execution_and_its_steps(local: DagRunner) -> None:
    result = local.test("wait_for_pipeline")
    assert result.exit_code == 0, result.output[-6000:]
    assert result.states == {
        "deploy": "success",
        "start": "success",
        "checked": "success",
        "rejected": "skipped",
        "ended": "success",
    }
    assert result.xcom("checked")["status"] == "Succeeded"
    assert result.xcom("ended")["status"] == "Succeeded"


def test_a_version_is_promoted_once_it_has_proven_itself(local: DagRunner) -> None:
    first = local.test("promote_pipeline")
    assert first.exit_code == 0, first.output[-6000:]
    assert first.xcom("promote", "is_moved") is True
    assert first.xcom("prune") == []
    again = local.test("promote_pipeline", conf={"Score": 0.1})
    assert (again.states["run"], again.states["promote"]) == ("failed", "upstream_failed")


def test_part_of_a_pipeline_runs_again(local: DagRunner) -> None:
    result = local.test("rerun_from_step")
    assert result.exit_code == 0, result.output[-6000:]
    assert "Selected steps: Check, Reject" in result.output
    assert result.xcom("part", "pipeline_execution_arn") != result.xcom("whole", "pipeline_execution_arn")


def test_sensors_tell_a_failed_step_and_skip_softly(local: DagRunner) -> None:
    result = local.test("wait_for_pipeline", conf={"Score": 0.1})
    assert (result.states["checked"], result.states["rejected"], result.states["ended"]) == (
        "success",
        "failed",
        "skipped",
    )
    assert "Too low: 0.1" in result.output
