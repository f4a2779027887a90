"""What a task remembers: the choice that the page makes for one clear holds for that one alone."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.airflow_task.task_state_store import CLEAR_CHOICE_KEY, TaskStateStore
from airflow_sm_pipelines.runs.submission import TaskIdentity, make_submission
from tests.airflow_objects import FakeTaskStateStore, make_context

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
