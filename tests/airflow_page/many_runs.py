"""``python -m tests.airflow_page.many_runs``: measure the tab of a DAG that has 10,000 runs, on PostgreSQL.

It fills an Airflow's database with the runs of a group, each with the records of ``run`` and ``ended``, and makes the
answer of the tab again and again: its query, and all else that the api-server then does.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

DAG_ID, RUNS, TIMES, BATCH = "many", 10_000, 21, 1_000
BEGAN = datetime(2026, 1, 1, tzinfo=timezone.utc)
MOST_MILLISECONDS = 300.0
IS_CHILD = "SM_PIPELINES_TEST_MANY_RUNS"


def main() -> int:
    """Start PostgreSQL, fill it and measure; 1 if an answer takes too long or needs more than one query."""
    from tests.reliability.surroundings import DRIVERS, airflow_with
    from tests.system.databases import served_postgres

    with served_postgres() as address, tempfile.TemporaryDirectory(prefix="sm-pipelines-many-runs-") as home:
        environment = {
            **os.environ,
            "AIRFLOW_HOME": home,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{address}",
            IS_CHILD: "yes",
        }
        python = airflow_with(DRIVERS)
        subprocess.run([python, "-m", "airflow", "db", "migrate"], env=environment, check=True, capture_output=True)
        return subprocess.run([python, "-m", "tests.airflow_page.many_runs"], env=environment, check=False).returncode


def measure() -> int:
    """Fill the database that Airflow is set up for, and measure."""
    from airflow.utils.session import create_session
    from sqlalchemy import event, text

    queries: list[str] = []
    with create_session() as session:
        fill(session)
        session.commit()
        session.execute(text("ANALYZE"))
        session.commit()
        event.listen(session.get_bind(), "before_cursor_execute", lambda *call: queries.append(call[2]))
        found = [_measure_page(session, queries, offset) for offset in (0, RUNS - 50)]
    for line, _ in found:
        print(line)
    return 0 if all(is_good for _, is_good in found) else 1


def _measure_page(session: Any, queries: list[str], offset: int) -> tuple[str, bool]:
    from airflow_sm_pipelines.airflow_page.dag_view import answer_dag
    from airflow_sm_pipelines.airflow_page.run_rows import read_executions

    milliseconds = []
    for _ in range(TIMES):
        queries.clear()
        session.expire_all()
        began = time.perf_counter()
        rows, has_more = read_executions(session, DAG_ID, offset=offset)
        answer = answer_dag(rows, source=None, output="rmse")
        milliseconds.append((time.perf_counter() - began) * 1000)
        session.commit()
    assert (len(answer["rows"]), has_more) == (50, offset == 0)
    middle, longest = statistics.median(milliseconds), max(milliseconds)
    page = "the newest page" if offset == 0 else "the oldest page"
    line = f"{RUNS} runs, {page}: {len(queries)} query, {middle:.0f} ms (median of {TIMES}), {longest:.0f} ms at most"
    return line, len(queries) == 1 and middle < MOST_MILLISECONDS


def fill(session: Any) -> None:
    """Add the DAG, its runs, the two tasks of each that keep an execution, and what they have kept."""
    from airflow.models.dag import DagModel
    from airflow.models.dagbundle import DagBundleModel
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import insert, select

    session.add(DagBundleModel(name="tests"))
    session.flush()
    session.add(DagModel(dag_id=DAG_ID, bundle_name="tests", fileloc="many.py"))
    session.commit()
    # Defaults of Airflow's columns open sessions of their own, which ends the one that inserts.
    with session.get_bind().begin() as connection:
        for start in range(0, RUNS, BATCH):
            runs = [_make_run(number) for number in range(start, start + BATCH)]
            connection.execute(insert(DagRun.__table__), runs)
        ids = dict(connection.execute(select(DagRun.run_id, DagRun.id)).all())
        for start in range(0, RUNS, BATCH):
            rows = [row for number in range(start, start + BATCH) for row in _make_tasks(number, ids)]
            connection.execute(insert(TaskInstance.__table__), [task for task, _ in rows])
            connection.execute(insert(XComModel.__table__), [xcom for _, xcom in rows])


def _make_run(number: int) -> dict[str, Any]:
    when = BEGAN + timedelta(minutes=number)
    return {
        "dag_id": DAG_ID,
        "run_id": f"r{number}",
        "run_type": "manual",
        "state": "success",
        "run_after": when,
        "logical_date": when,
        "start_date": when,
    }


def _make_tasks(number: int, ids: dict[str, int]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    record = {
        "arn": f"arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/{number:012d}",
        "pipeline": "p",
        "status": "Succeeded",
        "start": BEGAN.isoformat(),
        "end": (BEGAN + timedelta(seconds=number % 900)).isoformat(),
        "parameters": {"Rows": "100", "Day": "monday"},
        "outputs": {"rmse": 50 + number % 7, "model": "s3://bucket/model.tar.gz"},
    }
    for task_id in ("gate.run", "gate.ended"):
        key = {"dag_id": DAG_ID, "run_id": f"r{number}", "task_id": task_id, "map_index": -1}
        task = {
            **key,
            "state": "success",
            "pool": "default_pool",
            "pool_slots": 1,
            "queue": "default",
            "priority_weight": 1,
            "max_tries": 0,
            "try_number": 1,
            "executor_config": {},
        }
        yield task, {**key, "dag_run_id": ids[f"r{number}"], "key": "sagemaker_execution", "value": record}


if __name__ == "__main__":
    sys.exit(measure() if os.environ.get(IS_CHILD) else main())
