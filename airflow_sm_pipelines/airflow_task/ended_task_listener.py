"""Airflow's listener for tasks that a person, or a DAG run's time-out, has ended or cleared: it stops their executions.

Airflow calls it in the api-server and in the scheduler, which need no rights on AWS. So it adds a row to Airflow's
``callback`` table, in the same transaction as the task's end, and the next triggerer that lives makes the call. The
plugin registers this module in every process of Airflow; in a worker it does nothing.

Airflow calls no listener for a task that is cleared, nor for a DAG run or a DAG that is deleted. So
:func:`watch_database` has SQLAlchemy tell of those, before they are carried out.
"""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING, Any

from airflow.listeners import hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator

CALLBACK = "airflow_sm_pipelines.airflow_task.stop_on_kill.stop_execution_of_ended_task"
"""What a triggerer runs for an order; Airflow keeps the path in its database."""

_BY_HAND = "manually set"
_TIMED_OUT = "timed_out"
_PRIORITY = 1000
ENDED, RUN = ".ended", ".run"
"""The ends of the ids of a group's tasks: the one that judges its execution, and the one that starts it."""
DELETED, CLEARED = "deleted", "cleared"

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
        _order_stops_beside(dag_run)


@hookimpl
def on_dag_run_success(dag_run: Any, msg: str) -> None:
    """Airflow: a DAG run has succeeded. A person's mark has ended its tasks as well."""
    if _BY_HAND in msg:
        _order_stops_beside(dag_run)


def watch_database() -> None:
    """Have the executions of tasks stopped that are cleared, or deleted with their DAG run or DAG.

    Only in a process with a database.
    """
    if "airflow.models.dagrun" not in sys.modules:
        return
    from sqlalchemy import event
    from sqlalchemy.orm import Session

    for name, listener in (("before_flush", _before_flush), ("do_orm_execute", _before_execute)):
        if not event.contains(Session, name, listener):
            event.listen(Session, name, listener)


def _before_flush(session: Any, *_: Any) -> None:
    """SQLAlchemy: rows are about to be written. A DAG run that is deleted takes its tasks with it."""
    for row in session.dirty:
        if type(row).__name__ == "TaskInstance" and _is_cleared(row):
            _order_stops_safely(session, why=CLEARED, dag_id=row.dag_id, run_id=row.run_id, task=_key_of(row))
    deleted = list(session.deleted)
    runs = {(row.dag_id, row.run_id) for row in deleted if _kind_of(row) == "airflow.models.dagrun.DagRun"}
    for dag_id, run_id in runs:
        _order_stops_safely(session, why=DELETED, dag_id=dag_id, run_id=run_id)
    for row in deleted:
        if _kind_of(row) == "airflow.models.taskinstance.TaskInstance" and (row.dag_id, row.run_id) not in runs:
            _order_stops_safely(session, why=DELETED, dag_id=row.dag_id, run_id=row.run_id, task=_key_of(row))


def _before_execute(state: Any) -> None:
    """SQLAlchemy: a statement is about to be executed. Airflow deletes the tasks of a DAG by one, before all else.

    Not so ``airflow db clean``, which takes the rows of old runs from tables of its own.
    """
    if not (state.is_delete and state.is_orm_statement) or state.statement.whereclause is None:
        return
    if state.bind_mapper.class_.__name__ != "TaskInstance":
        return
    from sqlalchemy import exists

    _order_stops_safely(state.session, why=DELETED, of_tasks=exists().where(state.statement.whereclause))


def _kind_of(row: Any) -> str:
    return f"{type(row).__module__}.{type(row).__name__}"


def _is_cleared(row: Any) -> bool:
    """Whether a row of ``task_instance`` is about to be written as Airflow's ``clear_task_instances`` does it.

    The scheduler, too, takes a state away, from tasks whose worker is gone; it leaves ``max_tries`` alone.
    """
    from sqlalchemy import inspect

    attributes = inspect(row).attrs
    states = attributes.state.history.added
    if not states:
        return False
    return states[0] == "restarting" or (states[0] is None and attributes.max_tries.history.has_changes())


def _order_stop_of_task(task_instance: Any) -> None:
    if type(task_instance).__module__ == "airflow.models.taskinstance":
        _order_stops_beside(task_instance, task=_key_of(task_instance))


def _key_of(task_instance: Any) -> tuple[str, int]:
    return task_instance.task_id, -1 if task_instance.map_index is None else task_instance.map_index


def _order_stops_beside(row: Any, *, task: tuple[str, int] | None = None) -> None:
    """Have the executions of a changed row's tasks stopped.

    The order joins the row's transaction. A session of our own would have to wait for that transaction on SQLite, and
    the scheduler allows nobody to commit within it.
    """
    from sqlalchemy.orm import object_session

    session = object_session(row)
    if session is not None:
        _order_stops(session, dag_id=row.dag_id, run_id=row.run_id, task=task)


def _order_stops_safely(session: Any, *, why: str, **which: Any) -> None:
    try:
        _order_stops(session, why=why, **which)
    except Exception as error:  # noqa: BLE001 - Airflow's own work must not fail for this
        log.warning("The executions of %s tasks are not stopped: %s: %s", why, type(error).__name__, error)


def _order_stops(session: Any, *, why: str | None = None, **which: Any) -> None:
    """Have the executions of ended tasks stopped by a triggerer.

    :param why: ``"deleted"`` or ``"cleared"``, where the tasks' states will not say that they were ended.
    :param which: the arguments of :func:`_read_submissions`.
    """
    try:
        from airflow.models.callback import TriggererCallback
        from airflow.models.task_state_store import TaskStateStoreModel  # noqa: F401
        from airflow.sdk.definitions.callback import AsyncCallback
    except ImportError:  # Airflow before 3.3; delete when 3.3 is the oldest
        return
    from airflow_sm_pipelines.airflow_task.task_state_store import STOP_ON_CLEAR, STOPPED_BY

    task = which.get("task")
    with session.no_autoflush:
        for key, submission, hook_arguments in _read_submissions(session, **which):
            stop_on_clear = hook_arguments.pop(STOP_ON_CLEAR, False)
            stopped_by = hook_arguments.pop(STOPPED_BY, None)
            meant = stopped_by if stopped_by and why is None else key["task_id"]
            if task is not None and task[0] != meant:
                continue
            arguments: dict[str, Any] = {"task": key, "submission": submission, "hook_arguments": hook_arguments}
            if why == CLEARED:
                if not stop_on_clear:
                    continue
                _note_clear(session, key, submission["token"])
            if why is not None:
                arguments[f"is_{why}"] = True
            repairs = () if stopped_by is None else _read_repairs(session, key, submission)
            for one in (submission, *repairs):
                order = AsyncCallback(CALLBACK, {**arguments, "submission": one})
                callback = TriggererCallback(order, priority_weight=_PRIORITY)
                callback.queue(session=session)
                session.add(callback)
            log.info("A triggerer will stop the execution of task %s, which was %s.", key, why or "ended")


def _read_repairs(session: Any, key: dict[str, Any], submission: dict[str, Any]) -> list[dict[str, Any]]:
    """The submissions of the executions that repairs of a group's run have started, for their stops."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import select

    from airflow_sm_pipelines.airflow_task.group_record import REPAIRS_KEY

    row = XComModel
    query = select(row.value).where(*(getattr(row, name) == value for name, value in key.items()))
    value = session.scalar(query.where(row.key == REPAIRS_KEY))
    entries = json.loads(value) if isinstance(value, str) else value
    return [{**submission, "execution_arn": one["arn"]} for one in entries or () if one.get("arn")]


def _note_clear(session: Any, key: dict[str, Any], token: str) -> None:
    """Tell the task's next attempt that this execution was cleared, whoever of the two comes first.

    A clear of a running task changes nothing else by which that attempt could tell it from a clear of another task.
    """
    from airflow.state import TaskScope, get_state_backend

    from airflow_sm_pipelines.airflow_task.task_state_store import CLEARED_KEY

    get_state_backend().set(TaskScope(**key), CLEARED_KEY, json.dumps({"token": token}), session=session)


def _read_submissions(
    session: Any,
    *,
    dag_id: str | None = None,
    run_id: str | None = None,
    task: tuple[str, int] | None = None,
    of_tasks: Any = None,
) -> Iterator[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Key, submission and hook arguments of each task whose end must stop its execution.

    :param task: task id and map index; None for every task of the run.
    :param of_tasks: a condition on rows of ``task_instance``, instead of the others.
    """
    from airflow.models.task_state_store import TaskStateStoreModel
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import select

    from airflow_sm_pipelines.airflow_task.task_state_store import STOP_KEY, SUBMISSION_KEY

    row, names = TaskStateStoreModel, ("dag_id", "run_id", "task_id", "map_index")
    query = select(row.dag_id, row.run_id, row.task_id, row.map_index, row.key, row.value)
    query = query.where(row.key.in_((STOP_KEY, SUBMISSION_KEY)))
    if of_tasks is None:
        query = query.where(row.dag_id == dag_id, row.run_id == run_id)
    else:
        query = query.where(of_tasks.where(*(getattr(row, name) == getattr(TaskInstance, name) for name in names)))
    if task is not None:
        # The last task of a group, `ended`, stands for the execution of its first, `run`.
        ids = (task[0], f"{task[0].removesuffix(ENDED)}{RUN}") if task[0].endswith(ENDED) else (task[0],)
        query = query.where(row.task_id.in_(ids), row.map_index == task[1])
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for *key, name, value in session.execute(query):
        found.setdefault(tuple(key), {})[name] = json.loads(value)
    for of_task, values in found.items():
        submission, hook_arguments = values.get(SUBMISSION_KEY), values.get(STOP_KEY)
        if hook_arguments and submission and "token" in submission and not submission.get("is_refused"):
            yield dict(zip(names, of_task, strict=True)), submission, hook_arguments
