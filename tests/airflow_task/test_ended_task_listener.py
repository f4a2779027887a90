"""A task that a person has ended leaves an order to stop its execution, in the transaction that ends it."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import create_engine, delete, insert, select
from sqlalchemy.orm import Session

from airflow_sm_pipelines.airflow_task import ended_task_listener as listener
from airflow_sm_pipelines.airflow_task import stop_on_kill
from airflow_sm_pipelines.airflow_task.group_record import REPAIRS_KEY
from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.airflow_task.task_state_store import (
    CLEARED_KEY,
    STOP_KEY,
    STOP_ON_CLEAR,
    STOPPED_BY,
    SUBMISSION_KEY,
)
from airflow_sm_pipelines.runs.submission import TaskIdentity, make_submission

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IDENTITY = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=-1, run_start="", max_tries=0, clear_number=0, try_number=1
)
SUBMISSION = make_submission(IDENTITY, number=1, request={"PipelineName": "p"}).to_json()
ARGUMENTS = HookArguments().to_json()
MANUAL = "Dag Run's state was manually set to `failed`."


@pytest.fixture
def session(airflow_template: Path) -> Iterator[Session]:
    """A session on a copy of Airflow's database; nothing is kept."""
    pytest.importorskip("airflow.models.task_state_store", reason="Airflow before 3.3 has no task state store")
    engine = create_engine(f"sqlite:///{airflow_template / 'airflow.db'}")
    with Session(engine) as one:
        yield one
        one.rollback()
    engine.dispose()


def keep(session: Session, key: str, value: dict[str, Any], *, task_id: str = "t", map_index: int = -1) -> None:
    from airflow.models.task_state_store import TaskStateStoreModel

    row = {"dag_run_id": 1, "dag_id": "d", "run_id": "r", "task_id": task_id, "map_index": map_index}
    session.add(TaskStateStoreModel(**row, key=key, value=json.dumps(value)))
    session.flush()


def make_dag_run(session: Session) -> Any:
    from airflow.models.dagrun import DagRun

    run = DagRun(dag_id="d", run_id="r", run_type="manual")
    with session.no_autoflush:
        session.add(run)
    return run


def make_task_instance(task_id: str = "t") -> Any:
    """Something that looks like a row of Airflow's ``task_instance``."""
    kind = type("TaskInstance", (SimpleNamespace,), {"__module__": "airflow.models.taskinstance"})
    return kind(dag_id="d", run_id="r", task_id=task_id, map_index=-1)


@pytest.fixture
def ended(session: Session, monkeypatch: pytest.MonkeyPatch) -> Session:
    """The session, for rows of any kind."""
    monkeypatch.setattr("sqlalchemy.orm.object_session", lambda _: session)
    return session


def orders(session: Session) -> list[dict[str, Any]]:
    from airflow.models.callback import TriggererCallback

    with session.no_autoflush:
        found = [one for one in session.new if isinstance(one, TriggererCallback)]
    found += session.scalars(select(TriggererCallback)).all() if not found else []
    assert all(one.trigger is not None for one in found), "an order without a trigger is run by nobody"
    return [{"path": one.data["path"], **one.data["kwargs"]} for one in found]


@pytest.mark.processes
def test_a_marked_task_leaves_an_order_that_a_triggerer_can_run(ended: Session) -> None:
    keep(ended, SUBMISSION_KEY, SUBMISSION)
    keep(ended, STOP_KEY, ARGUMENTS)
    listener.on_task_instance_failed(previous_state=None, task_instance=make_task_instance())
    (order,) = orders(ended)
    module, _, name = order.pop("path").rpartition(".")
    assert (module, getattr(stop_on_kill, name)) == (stop_on_kill.__name__, stop_on_kill.stop_execution_of_ended_task)
    key = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    assert order == {"task": key, "submission": SUBMISSION, "hook_arguments": ARGUMENTS}


@pytest.mark.parametrize("index", [None, -1])
def test_only_the_execution_of_the_marked_task_and_index_is_stopped(ended: Session, index: int | None) -> None:
    for task_id, map_index in (("t", -1), ("t", 0), ("t2", -1)):
        keep(ended, SUBMISSION_KEY, SUBMISSION, task_id=task_id, map_index=map_index)
        keep(ended, STOP_KEY, ARGUMENTS, task_id=task_id, map_index=map_index)
    task = make_task_instance()
    task.map_index = index
    listener.on_task_instance_failed(previous_state=None, task_instance=task)
    assert [(one["task"]["task_id"], one["task"]["map_index"]) for one in orders(ended)] == [("t", -1)]
    task.run_id = "another"
    listener.on_task_instance_failed(previous_state=None, task_instance=task)
    assert len(orders(ended)) == 1


@pytest.mark.processes
@pytest.mark.parametrize(
    "stored",
    [
        {SUBMISSION_KEY: SUBMISSION},
        {STOP_KEY: ARGUMENTS},
        {STOP_KEY: ARGUMENTS, SUBMISSION_KEY: {**SUBMISSION, "is_refused": True}},
        {},
    ],
    ids=["must not be stopped, or has ended", "has not started", "was refused", "another operator"],
)
def test_a_task_without_an_execution_to_stop_leaves_none(ended: Session, stored: dict[str, dict[str, Any]]) -> None:
    for key, value in stored.items():
        keep(ended, key, value)
    listener.on_task_instance_success(previous_state=None, task_instance=make_task_instance())
    listener.on_task_instance_skipped(previous_state=None, task_instance=make_task_instance())
    assert orders(ended) == []


def test_a_task_that_ends_by_itself_leaves_none(ended: Session) -> None:
    keep(ended, SUBMISSION_KEY, SUBMISSION)
    keep(ended, STOP_KEY, ARGUMENTS)
    listener.on_task_instance_failed(previous_state="running", task_instance=make_task_instance())
    on_worker = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=-1)
    listener.on_task_instance_failed(previous_state=None, task_instance=on_worker)
    assert orders(ended) == []


@pytest.mark.parametrize(("message", "expected"), [("timed_out", 2), (MANUAL, 2), ("task_failure", 0)])
def test_a_run_that_was_ended_orders_a_stop_for_each_of_its_tasks(
    session: Session, message: str, expected: int
) -> None:
    for index in (0, 1):
        keep(session, SUBMISSION_KEY, SUBMISSION, map_index=index)
        keep(session, STOP_KEY, ARGUMENTS, map_index=index)
    with session.no_autoflush:
        listener.on_dag_run_failed(dag_run=make_dag_run(session), msg=message)
        assert [order["task"]["map_index"] for order in orders(session)] == list(range(expected))


@pytest.fixture
def watched(session: Session) -> Iterator[Session]:
    """The session, which is watched, with a DAG run of two tasks: one has an execution to stop."""
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import event, insert

    keep(session, SUBMISSION_KEY, SUBMISSION)
    keep(session, STOP_KEY, {**ARGUMENTS, STOP_ON_CLEAR: True})
    keep(session, SUBMISSION_KEY, SUBMISSION, task_id="ended")
    values = {"dag_id": "d", "run_id": "r", "map_index": -1, "pool": "default_pool", "pool_slots": 1}
    for number, task_id in enumerate(("t", "ended")):
        row = {**values, "id": UUID(int=number), "task_id": task_id, "try_number": 1, "max_tries": 0}
        row |= {"hostname": "", "unixname": "", "queue": "", "custom_operator_name": "", "executor_config": {}}
        session.execute(insert(TaskInstance).values(**row))
    listener.watch_database()
    listener.watch_database()
    yield session
    for name, one in (("before_flush", listener._before_flush), ("do_orm_execute", listener._before_execute)):
        event.remove(Session, name, one)


def deleted_order() -> dict[str, Any]:
    key = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    arguments = {"task": key, "submission": SUBMISSION, "hook_arguments": ARGUMENTS, "is_deleted": True}
    return {"path": listener.CALLBACK, **arguments}


def test_a_run_that_is_deleted_orders_a_stop_for_each_task_whose_end_must_stop_its_execution(watched: Session) -> None:
    run = make_dag_run(watched)
    watched.expunge(run)
    deleted = SimpleNamespace(
        dirty=[], deleted=[run], no_autoflush=watched.no_autoflush, add=watched.add, execute=watched.execute
    )
    listener._before_flush(deleted)
    assert orders(watched) == [deleted_order()]


def test_a_task_that_is_deleted_by_itself_orders_a_stop_for_itself_alone(watched: Session) -> None:
    keep(watched, SUBMISSION_KEY, SUBMISSION, task_id="t", map_index=1)
    keep(watched, STOP_KEY, ARGUMENTS, task_id="t", map_index=1)
    watched.delete(read_task(watched, "running"))
    watched.flush()
    assert orders(watched) == [deleted_order()]


def test_a_dag_that_is_deleted_orders_them_too(watched: Session) -> None:
    from airflow.models.taskinstance import TaskInstance

    watched.execute(delete(TaskInstance).where(TaskInstance.dag_id == "other"))
    assert orders(watched) == []
    watched.execute(delete(TaskInstance).where(TaskInstance.dag_id == "d"))
    assert orders(watched) == [deleted_order()]


def test_a_deletion_goes_on_where_no_order_can_be_left(watched: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.models.taskinstance import TaskInstance

    monkeypatch.setattr(listener, "_read_submissions", lambda *_, **__: 1 / 0)
    watched.execute(delete(TaskInstance).where(TaskInstance.dag_id == "d"))
    assert orders(watched) == []


def read_task(session: Session, state: str) -> Any:
    """The row of task ``t``, in this state."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from sqlalchemy import insert, update

    values = {"id": 1, "dag_id": "d", "run_id": "r", "run_type": "manual", "state": "running"}
    session.execute(insert(DagRun).values(**values, run_after=datetime.now(timezone.utc), clear_number=0))
    session.execute(update(TaskInstance).values(state=state))
    session.expire_all()
    return session.scalars(select(TaskInstance).where(TaskInstance.task_id == "t")).one()


def change_task(task: Any, state: str | None, max_tries: int) -> None:
    task.state, task.max_tries = state, max_tries


@pytest.mark.parametrize(
    ("before", "after", "max_tries", "is_clear"),
    [
        ("running", "restarting", 0, True),
        ("deferred", None, 1, True),
        ("up_for_retry", None, 1, True),
        ("queued", None, 0, False),
        ("running", "deferred", 0, False),
        ("running", "failed", 0, False),
    ],
    ids=["cleared on a worker", "deferred", "waiting for a retry", "its worker lost it", "defers", "fails"],
)
def test_a_clear_orders_a_stop_and_is_noted_for_the_next_attempt(
    watched: Session, before: str, after: str | None, max_tries: int, is_clear: bool
) -> None:
    from airflow.models.task_state_store import TaskStateStoreModel

    for task_id in ("t2", "t.ended", "t.run"):  # those of other tasks go on
        keep(watched, SUBMISSION_KEY, SUBMISSION, task_id=task_id)
        keep(watched, STOP_KEY, {**ARGUMENTS, STOP_ON_CLEAR: True}, task_id=task_id)
    change_task(read_task(watched, before), after, max_tries)
    watched.flush()
    order = {**deleted_order(), "is_cleared": True}
    del order["is_deleted"]
    assert orders(watched) == ([order] if is_clear else [])
    noted = watched.scalars(select(TaskStateStoreModel.value).where(TaskStateStoreModel.key == CLEARED_KEY)).all()
    assert [json.loads(one) for one in noted] == ([{"token": SUBMISSION["token"]}] if is_clear else [])


def test_a_clear_leaves_an_execution_alone_that_the_author_wants_to_go_on(watched: Session) -> None:
    from airflow.models.task_state_store import TaskStateStoreModel
    from sqlalchemy import update

    value = json.dumps({**ARGUMENTS, STOP_ON_CLEAR: False})
    watched.execute(update(TaskStateStoreModel).where(TaskStateStoreModel.key == STOP_KEY).values(value=value))
    change_task(read_task(watched, "running"), "restarting", 0)
    watched.flush()
    assert orders(watched) == []


# --- a group of tasks: `ended` stands for the execution that `run` has started ----------------------------------------


def keep_group(session: Session) -> None:
    """What `run` of a group leaves when it has started an execution, and the execution of one repair."""
    from airflow.models.xcom import XComModel

    keep(session, SUBMISSION_KEY, {**SUBMISSION, "execution_arn": "arn:first"}, task_id="g.run")
    keep(session, STOP_KEY, {**ARGUMENTS, STOP_ON_CLEAR: True, STOPPED_BY: "g.ended"}, task_id="g.run")
    repairs = [{"arn": "arn:second", "token": "t"}, {"arn": None, "token": "u"}]
    row = {"dag_run_id": 1, "dag_id": "d", "run_id": "r", "task_id": "g.run", "map_index": -1, "key": REPAIRS_KEY}
    session.execute(insert(XComModel), [{**row, "value": repairs}])


def test_the_last_task_of_a_group_stops_the_first_execution_and_those_of_repairs(ended: Session) -> None:
    keep_group(ended)
    listener.on_task_instance_failed(previous_state=None, task_instance=make_task_instance("g.ended"))
    found = orders(ended)
    assert [one["submission"]["execution_arn"] for one in found] == ["arn:first", "arn:second"]
    assert {one["task"]["task_id"] for one in found} == {"g.run"}
    assert {tuple(one["hook_arguments"]) for one in found} == {tuple(ARGUMENTS)}


@pytest.mark.parametrize("task_id", ["g.run", "g.steps.Train", "other.ended"])
def test_no_other_task_of_a_group_stops_its_execution(ended: Session, task_id: str) -> None:
    keep_group(ended)
    listener.on_task_instance_failed(previous_state=None, task_instance=make_task_instance(task_id))
    listener.on_task_instance_success(previous_state=None, task_instance=make_task_instance(task_id))
    assert orders(ended) == []
