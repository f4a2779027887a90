"""What the tasks of a group know of each other, on XComs in a dict."""

from __future__ import annotations

from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_task import group_record
from airflow_sm_pipelines.airflow_task.group_record import (
    GROUP_KEY,
    REPAIRS_KEY,
    STEP_KEY,
    XComGroupRecord,
    describe_repair,
    find_attempt_begin,
    find_differences,
    key_of,
)
from airflow_sm_pipelines.airflow_task.stop_on_kill import TaskKey
from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.runs.repair import GroupExecution

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e{}"


@pytest.fixture
def xcoms(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], Any]:
    """The XComs by task and key; `run` has started an execution."""
    found: dict[tuple[str, str], Any] = {("g.run", GROUP_KEY): {"arn": ARN.format(0), "began": "2026"}}
    monkeypatch.setattr(group_record, "get_plain_xcom", lambda ti, key: found.get((ti.task_id, key)))
    monkeypatch.setattr(
        group_record, "set_plain_xcom", lambda ti, key, value: found.__setitem__((ti.task_id, key), value)
    )
    monkeypatch.setattr(group_record.time, "sleep", lambda _: None)
    return found


@pytest.mark.parametrize(("index", "expected"), [(None, -1), (-1, -1), (0, 0), (3, 3)])
def test_another_task_of_the_group_is_of_the_same_dag_run_and_index(index: int | None, expected: int) -> None:
    ti: Any = SimpleNamespace(dag_id="d", run_id="r", task_id="t", map_index=index)
    assert key_of(ti, "g.run") == TaskKey("d", "r", "g.run", expected)


def test_the_description_of_a_repair_names_dag_run_and_group() -> None:
    ti: Any = SimpleNamespace(dag_id="my_dag", run_id="my_run", task_id="g.steps.A", map_index=-1)
    assert all(name in describe_repair(ti, "outer.g.run") for name in ("my_dag", "my_run", "group outer.g;"))


def make_record(step: str, attempt: int) -> XComGroupRecord:
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id=f"g.steps.{step}", map_index=-1, try_number=attempt)
    return XComGroupRecord(ti, run_task_id="g.run", step_prefix="g.steps.")


def test_repairs_of_two_tasks_stand_in_one_list_and_a_later_answer_replaces_an_earlier_note(xcoms: Any) -> None:
    first, second = make_record("A", 2), make_record("B", 2)
    root = ARN.format(0)
    first.save_execution(GroupExecution(None, ("A",), source=root, token="a", root=root))
    second.save_execution(GroupExecution(ARN.format(2), ("B",), source=root, token="b", root=root))
    first.save_execution(GroupExecution(ARN.format(1), ("A",), source=root, token="a", root=root))
    second.save_execution(GroupExecution(None, ("A",), source=root, token="a", root=root))
    assert [one.arn for one in second.read_executions()] == [ARN.format(number) for number in (0, 1, 2)]
    assert second.read_executions()[0] == GroupExecution(root, root=root, began="2026")


def test_a_list_that_another_task_has_overwritten_is_written_again(xcoms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = iter([True, False, False])

    def write(ti: Any, key: str, value: Any) -> None:
        xcoms[ti.task_id, key] = [] if next(lost) else value

    monkeypatch.setattr(group_record, "set_plain_xcom", write)
    make_record("A", 2).save_execution(GroupExecution(ARN.format(1), ("A",), token="a", root=ARN.format(0)))
    assert [one["arn"] for one in xcoms["g.run", REPAIRS_KEY]] == [ARN.format(1)]


def test_a_list_that_is_lost_each_time_is_given_up(xcoms: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    written, pauses = [], []
    monkeypatch.setattr(group_record, "set_plain_xcom", lambda _, key, value: written.append((key, value)))
    monkeypatch.setattr(group_record.time, "sleep", pauses.append)
    entry = GroupExecution(ARN.format(1), ("A",), token="a", root=ARN.format(0))
    make_record("A", 2).save_execution(entry)
    assert written == [(REPAIRS_KEY, [entry.to_json()])] * 5
    assert pauses == [0.1] * 5


def test_a_repair_of_an_earlier_run_of_the_same_token_stays(xcoms: Any) -> None:
    old = GroupExecution(ARN.format(7), ("A",), token="a", root=ARN.format(9))
    xcoms["g.run", REPAIRS_KEY] = [old.to_json()]
    new = GroupExecution(ARN.format(1), ("A",), token="a", root=ARN.format(0))
    make_record("A", 2).save_execution(new)
    assert xcoms["g.run", REPAIRS_KEY] == [old.to_json(), new.to_json()]
    assert [one.arn for one in make_record("A", 2).read_executions()] == [ARN.format(0), ARN.format(1)]
    del xcoms["g.run", GROUP_KEY]
    assert make_record("A", 2).read_executions() == ()


def test_an_attempt_knows_what_the_one_before_has_shown_and_an_old_trigger_does_not_overwrite_it(xcoms: Any) -> None:
    xcoms["g.run", f"{STEP_KEY}A"] = {"attempt": 7}
    first = make_record("A", 1)  # it has none, and does not ask for one
    assert (first.memory.attempt, first.former) == (1, None)
    first.memory.seen, first.memory.ended_at = ("arn", "mark"), 1.0
    first.save_memory()
    second = make_record("A", 2)
    assert (second.is_new, second.memory.seen, second.former) == (True, ("arn", "mark"), first.memory)
    second.save_memory()
    assert not make_record("A", 2).is_new
    third = make_record("A", 3)
    third.save_memory()
    second.save_memory()
    assert xcoms["g.run", f"{STEP_KEY}A"]["attempt"] == 3


def test_only_tasks_that_have_ended_before_and_not_again_count_as_cleared(
    xcoms: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in "ABC":
        one = make_record(step, 1)
        one.memory.seen = ("arn", "mark")
        one.save_memory()
    states = {"g.steps.A": None, "g.steps.B": "success", "g.steps.C": "deferred", "g.steps.D": None}
    monkeypatch.setattr(group_record, "request_states", lambda *_: {"r": states})
    assert make_record("A", 2).find_cleared(("A", "B", "C", "D", "E")) == {"A", "C"}
    # Its trigger has shown the end, and Airflow has not noted it yet.
    xcoms["g.run", f"{STEP_KEY}C"]["ended_at"] = 1.0
    for state, found in (("deferred", None), ("running", None), ("queued", {"A", "C"})):
        states["g.steps.C"] = state
        assert make_record("A", 2).find_cleared(("A", "B", "C")) == found
    states["g.steps.C"] = "success"
    assert make_record("A", 2).find_cleared(("A", "B", "C")) == {"A"}


def test_tasks_that_show_another_end_than_their_steps_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    states = {"A": "success", "B": "failed", "C": "deferred", "D": "success", "E": "skipped"}
    monkeypatch.setattr(group_record, "request_states", lambda *_: {"r": states})
    steps = tuple(StepReport(name, None, "Succeeded") for name in "ABC")
    ti = SimpleNamespace(dag_id="d", run_id="r", task_id="g.ended", map_index=-1)
    told = find_differences(ti, ExecutionReport(ARN, "Succeeded", steps=steps), {name: name for name in states})
    assert [line.partition(":")[0] for line in told] == [
        "Task B is failed, but its step is Succeeded",
        "Task D is success, but its step did not run",
    ]


def test_a_task_instance_tells_when_its_attempt_was_made() -> None:
    ti = SimpleNamespace(id="01a22e98-f82b-796f-b7e8-ef92b336eb44")
    made = find_attempt_begin(ti)
    assert made is not None
    assert datetime.fromtimestamp(made, timezone.utc).isoformat() == "2026-11-30T22:35:06.667000+00:00"
    assert find_attempt_begin(SimpleNamespace(id="7c9e6679-7425-40de-944b-e07fc1f90ae7")) is None
    assert find_attempt_begin(SimpleNamespace()) is None
