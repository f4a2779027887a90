"""The batch scoring example, unchanged, beside the real local endpoint."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_runs import DagRunner, migrate

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow


def test_the_example_trains_makes_a_model_and_scores_a_test_set(tmp_path: Path, repository: Path) -> None:
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
        result = runner.test("batch_scoring", conf={}, timeout_seconds=600)
    assert result.exit_code == 0, result.output[-6000:]
    steps: list[dict[str, Any]] = result.xcom("score", "steps")
    assert [(step["name"], step["status"]) for step in steps] == [
        ("Split", "Succeeded"),
        ("Train", "Succeeded"),
        ("Model-CreateModel", "Succeeded"),
        ("Score", "Succeeded"),
    ]
    assert result.xcom("score", "scores").endswith("/scores")
    # Always guessing the mean gives about 65.
    assert 30 < result.xcom("measure") < 55
