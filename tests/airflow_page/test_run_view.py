"""A run's answer in full: which source it is of, the state of each step and execution, and what the pictures show."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_page.run_rows import RunRows, TaskRow
from airflow_sm_pipelines.airflow_page.run_view import (
    MAX_BARS,
    PipelineTask,
    RunView,
    answer_run,
    answer_step,
    choose_source,
    find_sources,
)
from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, REPAIRS_KEY
from airflow_sm_pipelines.cost import PriceTable
from airflow_sm_pipelines.runs.page_record import EXECUTION_KEY, GRAPH_KEY, INSTANCES_KEY, RECORDS_KEY

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"
LATER = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e2"
BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
NOW = BEGIN + timedelta(minutes=10)

ALONE = PipelineTask(("train", -1), None)
GROUP = PipelineTask(("g.run", -1), "g.")


def record(name: str, status: str = "Succeeded", *, arn: str = ARN, **more: Any) -> dict[str, Any]:
    return {"arn": arn, "name": name, "type": "Training", "status": status, **more}


def spent(begin: int, end: int | None) -> dict[str, str]:
    """The times of a record, in seconds after ``BEGIN``."""
    found = {"start": (BEGIN + timedelta(seconds=begin)).isoformat()}
    return found if end is None else {**found, "end": (BEGIN + timedelta(seconds=end)).isoformat()}


def execution(status: str = "Executing", **more: Any) -> dict[str, Any]:
    return {"arn": ARN, "pipeline": "p", "status": status, **more}


def graph(*names: str, kind: str = "Training") -> dict[str, Any]:
    return {"shape_version": 1, "steps": [{"name": name, "type": kind, "waits_for": []} for name in names]}


def alone(
    state: str | None,
    *records: dict[str, Any],
    kept: dict[str, Any] | None = None,
    shape: dict[str, Any] | None = None,
    index: int = -1,
) -> RunRows:
    """The rows of a task that runs a pipeline by itself."""
    xcoms = {EXECUTION_KEY: kept or execution(), RECORDS_KEY: list(records)} | ({GRAPH_KEY: shape} if shape else {})
    return RunRows({("train", index): xcoms}, {("train", index): TaskRow(state)})


def group(
    states: dict[str, str | None],
    *records: dict[str, Any],
    ended: str | None = None,
    judged: dict[str, Any] | None = None,
    kind: str = "Training",
    repairs: tuple[dict[str, Any], ...] = (),
    index: int = -1,
) -> RunRows:
    """The rows of a group; each step's task keeps the records of its name."""
    own = {EXECUTION_KEY: execution(), GRAPH_KEY: graph(*states, kind=kind), GROUP_KEY: {"arn": ARN, "began": ""}}
    xcoms: dict[tuple[str, int], dict[str, Any]] = {("g.run", index): {**own, REPAIRS_KEY: list(repairs)}}
    tasks = {("g.run", index): TaskRow("success", 1), ("g.ended", index): TaskRow(ended, 1)}
    for name, state in states.items():
        tasks[f"g.steps.{name}", index] = TaskRow(state, 2)
        if kept := [one for one in records if one["name"] == name]:
            xcoms[f"g.steps.{name}", index] = {RECORDS_KEY: kept}
    if judged is not None:
        xcoms["g.ended", index] = judged
    return RunRows(xcoms, tasks)


REPAIR = {
    "arn": LATER, "steps": ["B"], "source": ARN, "token": "t", "root": ARN, "began": None, "is_refused": False,
}  # fmt: skip


def ask(rows: RunRows, **asked: Any) -> dict[str, Any]:
    return answer_run(rows, **{"task": None, "wanted": None, "arn": None, "view": "graph", "now": NOW, **asked})


def statuses(rows: RunRows, source: PipelineTask = GROUP, arn: str | None = None) -> dict[str, str]:
    return {step["name"]: step["status"] for step in RunView(rows, source, arn).list_steps()}


def test_the_answer_about_a_task_by_itself_holds_what_its_execution_is_known_for() -> None:
    kept = execution("Failed", version=3, reason="no", parameters={"Rows": "1"}, outputs={"rmse": 2.5})
    steps = [
        record("A", outcome="True", cached_from=LATER, **spent(0, 30)),
        record("B", "Failed", reason="It failed.", **spent(40, 95)),
    ]
    answer = ask(alone("failed", *steps, kept=kept, shape=graph("A", "B", "C")))
    assert answer.pop("picture").startswith("<svg")
    assert answer == {
        "sources": ["train"],
        "source": "train",
        "source_task": ["train", -1],
        "is_group": False,
        "step_prefix": None,
        "map_index": -1,
        "step": None,
        "executions": [{"arn": ARN, "id": "e1"}],
        "execution": None,
        "pipeline": "p",
        "version": 3,
        "status": "Failed",
        "reason": "no",
        "has_fail_step": False,
        "start": "2026-01-02T03:04:05+00:00",
        "end": "2026-01-02T03:05:40+00:00",
        "parameters": {"Rows": "1"},
        "outputs": {"rmse": 2.5},
        "cost": None,
        "steps": [
            {
                "name": "A", "type": "Training", "status": "Succeeded", "seconds": 30.0, "outcome": "True",
                "is_cached": True,
            },
            {"name": "B", "type": "Training", "status": "Failed", "seconds": 55.0, "reason": "It failed."},
            {"name": "C", "type": "Training", "status": "Not reached"},
        ],
        "actions": {"resume": ["train"]},
        "is_open": False,
    }  # fmt: skip


def test_the_answer_about_a_mapped_group_says_which_tasks_its_steps_are() -> None:
    judged = {EXECUTION_KEY: execution("Succeeded", reason="late"), RECORDS_KEY: [record("A", "Failed")]}
    rows = group({"A": "success", "B": "deferred"}, record("A", **spent(0, 9)), judged=judged, index=2)
    answer = ask(rows, task=("g.steps.B", 2))
    assert answer["picture"].startswith("<svg")
    expected = {
        "sources": ["g [2]"],
        "source": "g [2]",
        "source_task": ["g.run", 2],
        "is_group": True,
        "step_prefix": "g.steps.",
        "map_index": 2,
        "step": "B",
        "execution": None,
        "status": "Executing",
        "reason": "late",
        "start": "2026-01-02T03:04:05+00:00",
        "end": None,
        "actions": {"stop": ["g.ended", 2]},
        "is_open": True,
    }
    assert {name: answer[name] for name in expected} == expected
    assert answer["steps"] == [
        {"name": "A", "type": "Training", "status": "Succeeded", "seconds": 9.0, "state": "success", "tries": 2},
        {"name": "B", "type": "Training", "status": "Waiting", "state": "deferred", "tries": 2},
    ]
    assert ask(rows, task=("g.ended", 2))["step"] is None
    assert ask(rows, task=("g.steps.B", -1)) == {"sources": [], "is_open": True}


def test_the_answer_about_a_step_of_a_group_is_its_own_task_s() -> None:
    link = {"sagemaker_logs_link": "https://logs"}
    values = {"rmse": 1, "name": "A", "type": "T", "status": "s", "seconds": 1, "job_arn": "j"}
    first, last = record("A", "Failed", reason="no"), record("A")
    shown = RunView(group({"A": "success"}, first, last), GROUP)
    task = GROUP.step_task("A")
    of_group = answer_step(shown, "A", task=task, xcoms={"return_value": values, **link})
    assert of_group == {
        "name": "A",
        "task_id": "g.steps.A",
        "map_index": -1,
        "tries": [first, last],
        "outputs": {"rmse": 1},
        "links": [{"name": "Step logs", "href": "https://logs"}],
    }
    assert answer_step(shown, "A", task=task, xcoms={"return_value": "text"})["outputs"] == {}
    run = RunView(alone("success", record("A")), ALONE)
    of_task = answer_step(run, "A", task=("train", -1), xcoms={"return_value": {"no": 1}, **link})
    assert (of_task["outputs"], of_task["links"]) == ({}, [])
    assert answer_step(run, "A", task=("train", -1), xcoms={"step_outputs": {"A": "text"}})["outputs"] == {}


def test_sources_are_named_as_people_know_them_and_a_group_is_one() -> None:
    kept = {EXECUTION_KEY: execution()}
    rows = RunRows(
        {
            ("b", -1): kept,
            ("a.g.run", -1): {**kept, GROUP_KEY: {"arn": ARN}},
            ("a.g.ended", -1): kept,
            ("a.run", 0): kept,
            ("other", -1): {RECORDS_KEY: []},
        },
        {},
    )
    sources = find_sources(rows)
    assert [one.name for one in sources] == ["a.g", "a.run [0]", "b"]
    assert [one.ended for one in sources] == [("a.g.ended", -1), ("a.run", 0), ("b", -1)]
    for asked, name in (
        ({"task": ("a.g.steps.S", -1), "wanted": "b"}, "a.g"),
        ({"task": ("a.g.steps.S", 0), "wanted": None}, None),
        ({"task": ("a.run", 0), "wanted": None}, "a.run [0]"),
        ({"task": ("c", -1), "wanted": None}, None),
        ({"task": None, "wanted": "b"}, "b"),
        ({"task": None, "wanted": "other"}, "a.g"),
    ):
        found = choose_source(sources, **asked)
        assert (found and found.name) == name
    assert choose_source([], task=None, wanted="b") is None


@pytest.mark.parametrize(
    ("state", "kept", "step", "shown"),
    [
        ("deferred", "Failed", "Failed", "Executing"),
        ("failed", "Executing", "Executing", "Stopping"),
        ("failed", "Starting", "Starting", "Stopping"),
        ("failed", "Stopping", "Stopped", "Stopped"),
        ("failed", "Executing", "Succeeded", "Stopped"),
        ("failed", "Failed", "Executing", "Failed"),
        ("success", "Succeeded", "Succeeded", "Succeeded"),
    ],
)
def test_an_execution_whose_task_has_ended_is_not_shown_as_running(
    state: str, kept: str, step: str, shown: str
) -> None:
    rows = alone(state, record("A", "Executing"), record("A", step), kept=execution(kept))
    assert RunView(rows, ALONE).status == shown


def test_what_the_last_task_of_a_group_knows_counts_for_its_newest_execution_alone() -> None:
    states: dict[str, str | None] = {"A": "success", "B": "success"}
    judged = {EXECUTION_KEY: execution("Failed", reason="old")}
    for repairs, known in (((), "old"), ((REPAIR,), None)):
        rows = group(states, ended="failed", judged=judged, repairs=repairs)
        assert RunView(rows, GROUP).record.get("reason") == known
    rows = group(states, ended="failed", judged={EXECUTION_KEY: {**execution("Stopped"), "arn": LATER}})
    assert RunView(rows, GROUP).record["status"] == "Executing"


def test_the_records_of_a_group_are_those_of_its_steps_and_then_of_the_task_that_judged() -> None:
    judged = {RECORDS_KEY: [record("A", "Stopped"), record("C", "Failed")]}
    records = [record("A"), record("A", iteration=0), record("B", arn=LATER)]
    rows = group({"A": "success", "B": "success"}, *records, judged=judged)
    view = RunView(rows, GROUP)
    assert [view.find_tries(name) for name in "ABC"] == [[record("A")], [], [record("C", "Failed")]]
    assert [(step.name, step.type) for step in view.shape.steps][2:] == [("C", "Training")]


def test_without_a_shape_the_steps_are_those_that_are_known() -> None:
    for shape in (None, {"shape_version": 1, "steps": "none"}):
        rows = alone("success", record("A"), {**record("B"), "type": None}, shape=shape)
        assert [(one.name, one.type) for one in RunView(rows, ALONE).shape.steps] == [("A", "Training"), ("B", "Step")]


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        ("success", "Succeeded"),
        ("running", "Succeeded"),
        ("failed", "Not reached"),
        ("upstream_failed", "Not reached"),
        ("skipped", "Skipped"),
        (None, "Waiting"),
        ("scheduled", "Waiting"),
        ("queued", "Waiting"),
    ],
)
def test_a_step_of_a_group_is_shown_by_its_record_while_its_task_stands_for_it(state: str | None, shown: str) -> None:
    rows = group({"A": state}, record("A"), ended="success")
    assert statuses(rows) == {"A": shown}
    assert statuses(rows, arn=ARN) == {"A": "Succeeded"}


def test_a_step_that_failed_keeps_its_record_and_one_without_is_told_by_its_task() -> None:
    rows = group({"A": "failed", "B": "success", "C": "running"}, record("A", "Failed"), ended="failed")
    assert statuses(rows) == {"A": "Failed", "B": "Succeeded", "C": "Waiting"}


def test_a_step_that_was_not_run_again_is_skipped_in_the_later_execution_and_may_begin_in_the_newest() -> None:
    repair = {**REPAIR, "steps": ["B", "C"]}
    states: dict[str, str | None] = {"A": "success", "B": "success", "C": "running"}
    records = [record("A"), record("B", "Failed"), record("B", arn=LATER)]
    rows = group(states, *records, repairs=(repair,))
    assert statuses(rows, arn=ARN) == {"A": "Succeeded", "B": "Failed", "C": "Skipped"}
    assert statuses(rows, arn=LATER) == {"A": "Waiting", "B": "Succeeded", "C": "Waiting"}
    assert RunView(rows, GROUP, LATER).arn == LATER
    assert RunView(rows, GROUP, "another").arn is None
    assert [one["id"] for one in RunView(rows, GROUP).list_executions()] == ["e2", "e1"]


def test_a_group_is_open_while_its_last_task_or_a_step_is() -> None:
    for states, ended, is_open in (
        ({"A": "success"}, "success", False),
        ({"A": "running"}, "failed", True),
        ({"A": "success"}, None, True),
        ({"A": "removed", "B": "upstream_failed"}, "skipped", False),
    ):
        assert RunView(group(states, ended=ended), GROUP).is_open is is_open


@pytest.mark.parametrize(
    ("state", "status", "kind", "step", "actions"),
    [
        ("failed", "Stopped", "Training", "Stopped", {"resume": ["train"]}),
        ("failed", "Succeeded", "Training", "Succeeded", {}),
        ("success", "Failed", "Training", "Failed", {}),
        ("failed", "Failed", "Fail", "Failed", {}),
        ("failed", "Failed", "Fail", "Stopped", {"resume": ["train"]}),
        ("running", "Failed", "Fail", "Failed", {"stop": "train"}),
    ],
)
def test_a_task_by_itself_can_be_resumed_where_its_execution_can(
    state: str, status: str, kind: str, step: str, actions: dict[str, Any]
) -> None:
    rows = alone(state, record("A", step), kept=execution(status), shape=graph("A", kind=kind))
    assert RunView(rows, ALONE).find_actions() == actions


def test_a_group_can_be_resumed_by_its_failed_steps_unless_a_fail_step_has_ended_it() -> None:
    states: dict[str, str | None] = {"A": "failed", "B": "success", "C": "failed"}
    rows = group(states, record("A", "Failed"), ended="failed", index=1)
    source = PipelineTask(("g.run", 1), "g.")
    assert RunView(rows, source).find_actions() == {"resume": [["g.steps.A", 1], ["g.steps.C", 1]]}
    rows = group(states, record("A", "Failed"), ended="failed", kind="Fail")
    assert RunView(rows, GROUP).find_actions() == {}
    assert RunView(group({"A": "success"}, ended="failed"), GROUP).find_actions() == {}


@pytest.mark.parametrize(("count", "length"), [(1, 300), (66, 300), (100, 200), (1001, 20)])
def test_reasons_share_their_room(count: int, length: int) -> None:
    records = [record(f"S{number}", "Failed", reason="x" * 400) for number in range(count)]
    steps = RunView(alone("failed", *records), ALONE).list_steps()
    assert {len(step["reason"]) for step in steps} == {length}


def test_a_timeline_of_many_steps_shows_those_that_run_those_that_failed_and_then_the_longest() -> None:
    short = [record(f"S{number}", **spent(number, number + 1)) for number in range(MAX_BARS)]
    others = [
        record("Long", **spent(1, 500)),
        record("Failed", "Failed", **spent(2, 2)),
        record("Runs", "Executing", **spent(0, None)),
        record("Not-begun", "Starting"),
    ]
    picture = ask(alone("running", *short, *others), view="timeline")["picture"]
    labels = [one for one in re.findall(r">([\w-]+)</text>", picture) if one in {"Long", "Failed", "Runs", "Not-begun"}]
    assert labels == ["Runs", "Long", "Failed"]
    assert picture.count("<rect") >= MAX_BARS
    assert ">200 of 203 steps: running, failed and longest<" in picture
    few = ask(alone("running", *short[:3], *others), view="timeline")["picture"]
    assert "running, failed and longest" not in few


def test_a_run_without_a_pipeline_is_open_while_a_task_is() -> None:
    for state, is_open in (("success", False), ("running", True), (None, True)):
        rows = RunRows({}, {("t", -1): TaskRow(state)})
        assert ask(rows) == {"sources": [], "is_open": is_open}


def test_a_run_has_a_cost_by_the_times_of_all_tries_of_its_steps() -> None:
    tries = (
        record("Train", "Failed", **spent(0, 180)),
        record("Train", **spent(180, 360), arn=LATER),
        record("Score", "Executing", **spent(240, None), arn=LATER),
        record("Old", cached_from="earlier", **spent(0, 3600)),
        record("Wait", "Starting"),
    )
    rows = group(dict.fromkeys(("Train", "Score", "Old", "Wait"), "success"), *tries, repairs=(REPAIR,))
    rows.xcoms["g.run", -1][INSTANCES_KEY] = {
        "Train": [["Training", "ml.m5.large", 2]],
        "Score": [["Transform", "ml.c5.large", 1]],
        "Old": [["Processing", "ml.m5.large", 1]],
        "Wait": [["Processing", "ml.m5.large", 1]],
        "Ghost": [["Processing", "ml.m5.large", 1]],
    }
    shown = RunView(rows, GROUP)
    assert LATER in shown.arns
    prices = PriceTable(hourly={"ml.m5.large": 1.0}, by_kind={"Training": {"ml.m5.large": 3.0}})
    cost = shown.estimate_cost(prices, NOW)
    assert cost == {
        "hours": pytest.approx(0.3),
        "amount": pytest.approx(0.6),
        "currency": "USD",
        "unpriced": ["ml.c5.large"],
    }
    (first,) = [RunView(rows, GROUP, ARN).estimate_cost(prices, NOW)]
    assert first is not None
    assert (first["hours"], first["unpriced"]) == (0.1, [])
    assert answer_run(rows, task=None, wanted="g", arn=None, view="graph", now=NOW)["cost"]["amount"] == 0
    del rows.xcoms["g.run", -1][INSTANCES_KEY]
    assert RunView(rows, GROUP).estimate_cost(prices, NOW) is None
