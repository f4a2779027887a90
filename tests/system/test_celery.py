"""A whole Airflow with a CeleryExecutor on Redis and PostgreSQL: faults, and the example DAG."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.reliability.cases import CASES
from tests.reliability.laboratory import Laboratory
from tests.reliability.surroundings import on_celery
from tests.system.databases import find_postgres, find_redis

if TYPE_CHECKING:
    from pathlib import Path

ASKED_BY = "SM_PIPELINES_TEST_CELERY"
FAULTS = (
    "killed_after_start",
    "worker_lost_starting",
    "marked_failed",
    "cleared_waiting",
    "triggerer_killed",
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(
        not os.environ.get(ASKED_BY), reason=f"takes minutes and installs the celery provider: set {ASKED_BY}=1"
    ),
    pytest.mark.skipif(find_postgres() is None, reason="PostgreSQL's server is not installed here"),
    pytest.mark.skipif(find_redis() is None, reason="Redis is not installed here"),
]


def test_under_celery_tasks_survive_their_faults_and_the_example_succeeds(repository: Path, tmp_path: Path) -> None:
    chosen = [(case, mode, 1) for case in CASES if case.key in FAULTS for mode in case.modes]
    with (
        on_celery() as surroundings,
        Laboratory(
            tmp_path / "laboratory", seed=1, surroundings=surroundings, examples=repository / "dags"
        ) as laboratory,
    ):
        outcomes = laboratory.run(chosen)
        assert [problem for one in outcomes for problem in one.problems] == []
        assert sum(one.faults for one in outcomes) >= len(chosen)

        airflow = laboratory.airflow
        path = f"/dags/train_diabetes/dagRuns/{airflow.trigger('train_diabetes', {})}"
        airflow.wait_for(
            lambda: airflow.call("GET", path)["state"] in ("success", "failed"), "the run to end", timeout_seconds=600
        )
        assert airflow.call("GET", path)["state"] == "success", airflow.log_tails()
        rmse = airflow.call("GET", f"{path}/taskInstances/train/xcomEntries/rmse")["value"]
        assert 30 < rmse < 70
