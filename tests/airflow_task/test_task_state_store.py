"""What a task remembers, and until when: the choice that the page makes for one clear holds for that one alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_sm_pipelines.airflow_task.task_state_store import (
    CLEAR_CHOICE_KEY,
    CLEARED_KEY,
    STOP_KEY,
    STOP_ON_CLEAR,
    STOPPED_BY,
    SUBMISSION_KEY,
    TaskStateStore,
)
from airflow_sm_pipelines.runs.submission import TaskIdentity, make_submission
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context

IDENTITY = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=-1, run_start="", max_tries=0, clear_number=0, try_number=1
)


def test_a_choice_for_one_clear_is_forgotten_with_the_next_submission() -> None:
    state = FakeTaskStateStore({CLEAR_CHOICE_KEY: {"on_clear": "resume"}})
    store = TaskStateStore(make_context(store=state))
    assert store.find_clear_choice("restart") == "resume"
    assert CLEAR_CHOICE_KEY in state.values  # a worker that dies here has done nothing yet
    store.save_submission(make_submission(IDENTITY, number=1, request={}))
    assert CLEAR_CHOICE_KEY not in state.values
    assert TaskStateStore(make_context(store=state)).find_clear_choice("restart") == "restart"


@pytest.mark.parametrize("value", [None, {}, {"on_clear": "delete"}, "resume"])
def test_anything_else_leaves_the_operators_choice(value: object) -> None:
    state = FakeTaskStateStore({CLEAR_CHOICE_KEY: value})
    assert TaskStateStore(make_context(store=state)).find_clear_choice("restart") == "restart"
    assert TaskStateStore(make_context()).find_clear_choice("resume") == "resume"


def test_a_choice_is_deleted_once_and_by_nobody_who_has_not_read_it() -> None:
    state = FakeTaskStateStore({CLEAR_CHOICE_KEY: {"on_clear": "resume"}})
    TaskStateStore(make_context(store=state)).save_submission(make_submission(IDENTITY, number=1, request={}))
    assert CLEAR_CHOICE_KEY in state.values
    store = TaskStateStore(make_context(store=state))
    store.find_clear_choice("restart")
    store.save_submission(make_submission(IDENTITY, number=1, request={}))
    state.values[CLEAR_CHOICE_KEY] = {"on_clear": "resume"}  # of another clear, in the meantime
    store.save_submission(make_submission(IDENTITY, number=2, request={}))
    assert CLEAR_CHOICE_KEY in state.values


def test_each_thing_is_remembered_by_itself() -> None:
    store = TaskStateStore(make_context(store=FakeTaskStateStore()))
    assert store.is_durable
    kept = {name: {"of": name} for name in ("log_cursor", "refused_looks", "callback")}
    for name in kept:
        assert getattr(store, f"load_{name}")() is None
    for name, value in kept.items():
        getattr(store, f"save_{name}")(value)
    for name, value in kept.items():
        assert getattr(store, f"load_{name}")() == value


def test_a_rollback_is_gone_on_with_until_a_clear() -> None:
    state = FakeTaskStateStore()
    TaskStateStore(make_context(FakeTaskInstance(max_tries=2), store=state)).save_roll_back(5, 3)
    assert TaskStateStore(make_context(FakeTaskInstance(max_tries=2), store=state)).load_roll_back() == (5, 3)
    assert TaskStateStore(make_context(FakeTaskInstance(max_tries=4), store=state)).load_roll_back() is None


def test_a_submission_is_a_cleared_one_when_the_note_of_a_clear_is_of_it() -> None:
    state = FakeTaskStateStore()
    store, submission = TaskStateStore(make_context(store=state)), make_submission(IDENTITY, number=1, request={})
    assert store.load_submission() is None
    store.mark_failed_try(1)
    assert state.values == {}  # nothing was submitted, so there is nothing to mark
    store.save_submission(submission)
    assert (store.saved, store.load_submission()) == (submission, submission)
    for token, is_cleared in ((submission.token, True), ("another", False)):
        state.values[CLEARED_KEY] = {"token": token}
        assert store.load_submission() == replace(submission, is_cleared=is_cleared)
    store.mark_failed_try(3)
    assert state.values[SUBMISSION_KEY] == submission.with_failed_try(3).to_json()


def test_who_stops_an_execution_is_kept_until_it_has_ended() -> None:
    state = FakeTaskStateStore()
    store = TaskStateStore(make_context(store=state))
    store.save_stop_arguments({"region_name": "eu-west-1"}, stop_on_clear=False)
    assert state.values == {STOP_KEY: {"region_name": "eu-west-1", STOP_ON_CLEAR: False}}
    store.save_stop_arguments({}, stop_on_clear=True, stopped_by="g.ended")
    assert state.values == {STOP_KEY: {STOP_ON_CLEAR: True, STOPPED_BY: "g.ended"}}
    store.delete_stop_arguments()
    assert state.values == {}


def test_an_airflow_without_a_store_remembers_nothing() -> None:
    store = TaskStateStore(make_context())
    assert not store.is_durable
    submission = make_submission(IDENTITY, number=1, request={})
    store.save_submission(submission)
    store.save_roll_back(5, 3)
    store.delete_stop_arguments()
    assert (store.saved, store.load_submission(), store.load_roll_back()) == (submission, None, None)
