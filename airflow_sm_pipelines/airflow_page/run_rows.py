"""What Airflow's database holds of a run or a DAG for the page. Each function makes the queries that it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, REPAIRS_KEY
from airflow_sm_pipelines.links.buttons import (
    SageMakerCallbackQueueLink,
    SageMakerJobLogsLink,
    SageMakerPipelineExecutionLink,
    SageMakerPipelineLink,
)
from airflow_sm_pipelines.runs.page_record import EXECUTION_KEY, PAGE_KEYS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PAGE_SIZE = 50
"""DAG runs on one page of the comparison."""

LINKS = {
    one.key: one.name
    for one in (
        SageMakerPipelineExecutionLink,
        SageMakerPipelineLink,
        SageMakerJobLogsLink,
        SageMakerCallbackQueueLink,
    )
}
"""The names of the links by their XComs' keys."""

TaskKey = tuple[str, int]
"""A task's id and map index."""


@dataclass(frozen=True, slots=True)
class TaskRow:
    """A task instance."""

    state: str | None
    try_number: int = 0


@dataclass(frozen=True, slots=True)
class RunRows:
    """One DAG run.

    :param xcoms: by task, what :data:`.PAGE_KEYS` and the records of groups hold.
    :param tasks: its task instances.
    """

    xcoms: Mapping[TaskKey, Mapping[str, Any]]
    tasks: Mapping[TaskKey, TaskRow]


@dataclass(frozen=True, slots=True)
class ExecutionRow:
    """What one task has kept of its execution, for the comparison.

    :param state: the task's.
    """

    run_id: str
    when: datetime | None
    run_state: str | None
    task: TaskKey
    state: str | None
    record: Mapping[str, Any]


def is_dag_known(session: Any, dag_id: str) -> bool:
    """Whether Airflow has this DAG; one query."""
    from airflow.models.dag import DagModel
    from sqlalchemy import select

    return session.scalar(select(DagModel.dag_id).where(DagModel.dag_id == dag_id)) is not None


def is_run_known(session: Any, dag_id: str, run_id: str) -> bool:
    """Whether the DAG has this run; one query."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import select

    query = select(DagRun.id).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
    return session.scalar(query) is not None


def read_run(session: Any, dag_id: str, run_id: str) -> RunRows:
    """The XComs and the task instances of a run; two queries."""
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    row, keys = XComModel, (*PAGE_KEYS, GROUP_KEY, REPAIRS_KEY)
    query = select(row.task_id, row.map_index, row.key, row.value)
    query = query.where(row.dag_id == dag_id, row.run_id == run_id, row.key.in_(keys))
    xcoms: dict[TaskKey, dict[str, Any]] = {}
    for task_id, index, key, value in session.execute(query):
        xcoms.setdefault((task_id, index), {})[key] = decode(value)
    one = TaskInstance
    query = select(one.task_id, one.map_index, one.state, one.try_number)
    query = query.where(one.dag_id == dag_id, one.run_id == run_id)
    tasks = {(task_id, index): TaskRow(state, tries) for task_id, index, state, tries in session.execute(query)}
    return RunRows(xcoms, tasks)


def read_task_xcoms(session: Any, dag_id: str, run_id: str, task: TaskKey) -> dict[str, Any]:
    """All XComs of one task; one query."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    row = XComModel
    query = select(row.key, row.value).where(row.dag_id == dag_id, row.run_id == run_id)
    query = query.where(row.task_id == task[0], row.map_index == task[1])
    return {key: decode(value) for key, value in session.execute(query)}


def read_executions(session: Any, dag_id: str, *, offset: int) -> tuple[list[ExecutionRow], bool]:
    """The executions of a page of DAG runs, newest first, and whether there are older runs; one query."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.xcom import XComModel
    from sqlalchemy import and_, select

    runs = (
        select(DagRun.id, DagRun.run_id, DagRun.run_after, DagRun.state)
        .where(DagRun.dag_id == dag_id)
        .order_by(DagRun.run_after.desc(), DagRun.id.desc())
        .limit(PAGE_SIZE + 1)
        .offset(offset)
        .subquery()
    )
    row, task = XComModel, TaskInstance
    same = (getattr(task, name) == getattr(row, name) for name in ("dag_id", "run_id", "task_id", "map_index"))
    query = (
        select(runs.c.run_id, runs.c.run_after, runs.c.state, row.task_id, row.map_index, task.state, row.value)
        .select_from(runs)
        .outerjoin(row, and_(row.dag_run_id == runs.c.id, row.key == EXECUTION_KEY))
        .outerjoin(task, and_(*same))
        .order_by(runs.c.run_after.desc(), runs.c.id.desc(), row.task_id, row.map_index)
    )
    seen: dict[str, None] = {}
    found = []
    for run_id, when, run_state, task_id, index, state, value in session.execute(query):
        seen[run_id] = None
        if len(seen) <= PAGE_SIZE and isinstance(record := decode(value), dict):
            found.append(ExecutionRow(run_id, when, run_state, (task_id, index), state, record))
    return found, len(seen) > PAGE_SIZE


def decode(value: Any) -> Any:
    """An XCom's value; Airflow's database gives some as JSON text."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def find_links(xcoms: Mapping[str, Any]) -> list[dict[str, str]]:
    """The links among a task's XComs, only those that lead to a web page."""
    found = {name: xcoms.get(key) for key, name in LINKS.items()}
    return [
        {"name": name, "href": href}
        for name, href in found.items()
        if isinstance(href, str) and href.startswith(("https://", "http://"))
    ]
