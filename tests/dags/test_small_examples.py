"""The examples whose pipelines start no job, unchanged, beside the real local endpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Iterator[DagRunner]:
    """An Airflow whose DAGs folder is the repository's, beside a running local endpoint."""
    from airflow_sm_pipelines.server import serve

    folder = tmp_path_factory.mktemp("small-examples")
    migrate(folder / "template")
    with serve(folder / "state") as server:
        environment = {
            name: value for name, value in server.environment().items() if name.startswith(("AWS_", "AIRFLOW_CONN_"))
        }
        environment |= {
            "AIRFLOW__CORE__DAGS_FOLDER": str(repository / "dags"),
            "SM_PIPELINES_CACHE_DIR": os.environ["SM_PIPELINES_CACHE_DIR"],
        }
        yield DagRunner(folder / "airflow", template=folder / "template", environment=environment)


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
