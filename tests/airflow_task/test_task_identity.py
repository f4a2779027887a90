"""Who a task instance is, read from Airflow's context."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.airflow_task.task_identity import parse_task_identity, read_provenance
from airflow_sm_pipelines.runs.submission import TaskIdentity
from tests.airflow_objects import FakeDagRun, FakeTaskInstance, make_context

if TYPE_CHECKING:
    from pathlib import Path


def test_an_identity_has_the_counters_of_retries_and_clears() -> None:
    ti = FakeTaskInstance(map_index=3, max_tries=4, try_number=2)
    run = FakeDagRun(start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), clear_number=1)
    assert parse_task_identity(make_context(ti, dag_run=run)) == TaskIdentity(
        dag_id="d",
        run_id="r",
        task_id="t",
        map_index=3,
        run_start="2026-01-01T00:00:00+00:00",
        max_tries=4,
        clear_number=1,
        try_number=2,
    )


def test_an_older_airflow_has_fewer_of_them(tmp_path: Path) -> None:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=None, try_number=1)
    found = parse_task_identity({"ti": ti, "dag_run": SimpleNamespace()})
    assert (found.map_index, found.run_start, found.max_tries, found.clear_number) == (-1, "", 0, 0)
    assert read_provenance({"ti": ti}, code=tmp_path / "dag.py").revision is None
    late = datetime(2026, 1, 1, tzinfo=timezone.utc)
    waiting = parse_task_identity({"ti": ti, "dag_run": SimpleNamespace(start_date=None, run_after=late)})
    assert waiting.run_start == late.isoformat()


def test_a_file_outside_of_a_repository_has_the_bundles_version(tmp_path: Path) -> None:
    ti = FakeTaskInstance(run_id="manual__1", task_id="deploy")
    assert read_provenance({"ti": ti}, code=tmp_path / "dag.py").revision is None
    ti.bundle_instance = SimpleNamespace(name="dags", version="1a2b")
    found = read_provenance({"ti": ti}, code=tmp_path / "dag.py")
    assert found.text == "Deployed by Airflow: DAG d, run manual__1, task deploy; bundle dags version 1a2b"
    assert found.version_name == "d-deploy-manual-1"
    ti.map_index = 3
    found = read_provenance({"ti": ti}, code=tmp_path / "dag.py")
    assert "task deploy[3]; bundle" in found.text
    assert found.version_name == "d-deploy-3-manual-1"
