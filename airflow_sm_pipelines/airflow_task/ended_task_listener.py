"""Airflow's listener for tasks that a person, or a DAG run's time-out, has ended: it has their executions stopped.

Airflow calls it in the api-server and in the scheduler, which need no rights on AWS. So it adds a row to Airflow's
``callback`` table, in the same transaction as the task's end, and the next triggerer that lives makes the call. The
plugin registers this module in every process of Airflow; in a worker it does nothing.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLBACK = "airflow_sm_pipelines.airflow_task.stop_on_kill.stop_execution_of_ended_task"
"""What a triggerer runs for an order; Airflow keeps the path in its database."""

_BY_HAND = "manually set"
_TIMED_OUT = "timed_out"
_PRIORITY = 1000

log = logging.getLogger(__name__)


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any) -> None:
    """Airflow: a task instance has failed. Only a person's mark has no previous state."""
    if previous_state is None:
        _order_stop_of_task(task_instance)


@hookimpl
def on_task_instance_success(previous_state: Any, task_instance: Any) -> None:
    """Airflow: a task instance has succeeded. Only a person's mark has no previous state."""
    if previous_state is None:
        _order_stop_of_task(task_instance)


@hookimpl
def on_task_instance_skipped(previous_state: Any, task_instance: Any) -> None:
    """Airflow: a task instance was skipped. Only a person's mark has no previous state."""
    if previous_state is None:
        _order_stop_of_task(task_instance)


@hookimpl
def on_dag_run_failed(dag_run: Any, msg: str) -> None:
    """Airflow: a DAG run has failed. Its time-out, or a person's mark, has ended its tasks as well."""
    if msg == _TIMED_OUT or _BY_HAND in msg:
        _order_stops(dag_run, dag_run.dag_id, dag_run.run_id)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Airflow: a DAG run has succeeded. A person's mark has ended its tasks as well."""
    if _BY_HAND in msg:
        _order_stops(dag_run, dag_run.dag_id, dag_run.run_id)


def _order_stop_of_task(task_instance: Any) -> None:
    if type(task_instance).__module__ == "airflow.models.taskinstance":
        map_index = -1 if task_instance.map_index is None else task_instance.map_index
        _order_stops(task_instance, task_instance.dag_id, task_instance.run_id, (task_instance.task_id, map_index))


def _order_stops(row: Any, dag_id: str, run_id: str, task: tuple[str, int] | None = None) -> None:
    """Have the executions of ended tasks stopped by a triggerer.

    :param row: what Airflow has changed; the order joins its transaction. A session of our own would have to wait for
        that transaction on SQLite, and the scheduler allows nobody to commit within it.
    :param task: task id and map index; None for every task of the run.
    """
    try:
        from airflow.models.callback import TriggererCallback
        from airflow.models.task_state_store import TaskStateStoreModel  # noqa: F401
        from airflow.sdk.definitions.callback import AsyncCallback
    except ImportError:  # Airflow before 3.3; delete when 3.3 is the oldest
        return
    from sqlalchemy.orm import object_session

    session = object_session(row)
    if session is None:
        return
    for key, submission, hook_arguments in _read_submissions(session, dag_id, run_id, task):
        arguments = {"task": key, "submission": submission, "hook_arguments": hook_arguments}
        callback = TriggererCallback(AsyncCallback(CALLBACK, arguments), priority_weight=_PRIORITY)
        callback.queue(session=session)
        session.add(callback)
        log.info("A triggerer will stop the execution of task %s, which was ended.", key)


def _read_submissions(
    session: Any, dag_id: str, run_id: str, task: tuple[str, int] | None
) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Key, submission and hook arguments of each task whose end must stop its execution."""
    from airflow.models.task_state_store import TaskStateStoreModel
    from sqlalchemy import select

    from airflow_sm_pipelines.airflow_task.task_state_store import STOP_KEY, SUBMISSION_KEY

    row = TaskStateStoreModel
    query = select(row.task_id, row.map_index, row.key, row.value).where(
        row.dag_id == dag_id, row.run_id == run_id, row.key.in_((STOP_KEY, SUBMISSION_KEY))
    )
    if task is not None:
        query = query.where(row.task_id == task[0], row.map_index == task[1])
    found: dict[tuple[str, int], dict[str, Any]] = {}
    for task_id, map_index, key, value in session.execute(query):
        found.setdefault((task_id, map_index), {})[key] = json.loads(value)
    for (task_id, map_index), values in found.items():
        submission, hook_arguments = values.get(SUBMISSION_KEY), values.get(STOP_KEY)
        if hook_arguments and submission and "token" in submission and not submission.get("is_refused"):
            key = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
            yield key, submission, hook_arguments
