"""What calls cost does not grow with the executions in the store: counted in steps of SQLite's machine, not timed."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS
from airflow_sm_pipelines.engine.store import Store, database
from airflow_sm_pipelines.engine.store.database import Page
from tests.engine.filled_store import PIPELINE, STEPS, execution_arn, fill_store, job_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FEW, MANY = 40, 800
PAGE = Page(sort_column="created_ms", tie_column="id", is_descending=True, limit=10)
JOBS_PAGE = Page(sort_column="created_ms", tie_column="name", is_descending=True, limit=10)


def execution_id(count: int) -> str:
    return execution_arn(count // 2).rpartition("/")[2]


CALLS: dict[str, Callable[[Store, int], Any]] = {
    "an execution": lambda store, count: store.executions.find(execution_id(count)),
    "its steps": lambda store, count: store.steps.all_of(execution_id(count)),
    "a page of executions": lambda store, count: store.executions.page([("pipeline = ?", PIPELINE)], PAGE),
    "a job": lambda store, count: store.resources.find("ProcessingJob", job_name(count // 2)),
    "failed jobs": lambda store, count: store.resources.page("ProcessingJob", [("status = ?", "Failed")], JOBS_PAGE),
    "open executions": lambda store, count: store.executions.open_ids(),
    "jobs that no step waits for": lambda store, count: store.resources.standalone_active_jobs(list(JOB_KINDS)),
    "a cached result": lambda store, count: store.steps.find_cached(
        PIPELINE, STEPS[0], cache_key=f"key-{count // 2}", since_ms=0
    ),
    "the last result that could be taken": lambda store, count: store.steps.find_last_cacheable(PIPELINE, STEPS[0]),
}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    directories = {count: tmp_path_factory.mktemp("filled") / "engine" for count in (FEW, MANY)}
    for count, directory in directories.items():
        fill_store(directory, count)
    return directories


@pytest.mark.parametrize("what", CALLS)
def test_it_costs_the_same_among_twenty_times_as_many(
    what: str, filled: dict[int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = {}
    connect = sqlite3.connect
    for count, directory in filled.items():
        ticks: list[None] = []

        def watched(*args: Any, ticks: list[None] = ticks, **rest: Any) -> sqlite3.Connection:
            connection = connect(*args, **rest)
            connection.set_progress_handler(lambda: ticks.append(None), 1)
            return connection

        monkeypatch.setattr(database.sqlite3, "connect", watched)
        store = Store(directory)
        ticks.clear()
        assert CALLS[what](store, count) is not None
        costs[count] = len(ticks)
        store.close()
    assert costs[MANY] < 2 * costs[FEW] + 50, costs
