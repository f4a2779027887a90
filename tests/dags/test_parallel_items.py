"""The parallel items example, unchanged, beside the real local endpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_the_example_runs_once_per_item_and_finds_the_best(tmp_path: Path, repository: Path) -> None:
    from airflow_sm_pipelines.server import serve

    migrate(tmp_path / "template")
    with serve(tmp_path / "state") as server:
        environment = {
            name: value for name, value in server.environment().items() if name.startswith(("AWS_", "AIRFLOW_CONN_"))
        }
        environment |= {
            "AIRFLOW__CORE__DAGS_FOLDER": str(repository / "dags"),
            "SM_PIPELINES_CACHE_DIR": os.environ["SM_PIPELINES_CACHE_DIR"],
        }
        runner = DagRunner(tmp_path / "airflow", template=tmp_path / "template", environment=environment)
        result = runner.test("parallel_items", conf={}, timeout_seconds=300)
    assert result.exit_code == 0, result.output[-6000:]
    steps: list[dict[str, Any]] = result.xcom("score", "steps")
    assert {(step["name"], step.get("iteration"), step["status"]) for step in steps} == {
        ("ScoreAll", None, "Succeeded"),
        ("Score-0", 0, "Succeeded"),
        ("Score-1", 1, "Succeeded"),
        ("Score-2", 2, "Succeeded"),
    }
    assert result.xcom("score", "count") == 3
    assert "-Score-0-" in result.xcom("score", "first_job")
    assert result.xcom("score", "first_score") == 2.202
    assert result.xcom("find_best")["name"] == "west"
