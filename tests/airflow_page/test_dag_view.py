"""The comparison: one row for each pipeline of a run, and what a chart can show."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_page.dag_view import (
    DURATION,
    answer_dag,
    compare_executions,
    list_outputs,
    make_points,
)
from airflow_sm_pipelines.airflow_page.run_rows import ExecutionRow

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e1"


def row(task_id: str, *, state: str | None = "success", run_state: str = "success", **record: Any) -> ExecutionRow:
    kept = {"arn": ARN, "pipeline": "p", "status": "Succeeded", **record}
    return ExecutionRow("r", None, run_state, (task_id, -1), state, kept)


def test_a_group_is_one_row_with_what_its_last_task_knows() -> None:
    rows = [row("g.ended", status="Failed", outputs={"rmse": 1.5}), row("g.run", status="Executing", parameters={})]
    (found,) = compare_executions(rows)
    assert (found["source"], found["status"], found["outputs"]) == ("g", "Failed", {"rmse": 1.5})


@pytest.mark.parametrize(
    ("state", "run_state", "kept", "shown"),
    [
        ("success", "success", "Succeeded", "Succeeded"),
        ("deferred", "running", "Executing", "Executing"),
        (None, "running", "Succeeded", "Executing"),
        ("failed", "failed", "Succeeded", "Stopped"),
        ("failed", "failed", "Executing", "Stopped"),
        ("failed", "failed", "Failed", "Failed"),
        ("success", "success", "Executing", "Not judged"),
    ],
)
def test_a_task_that_was_ended_or_cleared_since_says_more_than_its_record(
    state: str | None, run_state: str, kept: str, shown: str
) -> None:
    (found,) = compare_executions([row("train", state=state, run_state=run_state, status=kept)])
    assert found["status"] == shown


def test_a_row_says_which_execution_it_is_and_how_long_it_took_in_tenths_of_a_second() -> None:
    times = {"start": "2026-01-02T03:04:05+00:00", "end": "2026-01-02T03:04:07.260+00:00"}
    rows = compare_executions([row("train", **times)])
    assert rows == [
        {
            "run_id": "r",
            "when": None,
            "source": "train",
            "pipeline": "p",
            "arn": ARN,
            "status": "Succeeded",
            "seconds": 2.3,
            "outputs": {},
        }
    ]
    assert [point.value for point in make_points(rows, DURATION)] == [2.3]


def test_a_chart_shows_numbers_and_leaves_gaps() -> None:
    values: list[Any] = [3, "2.5", True, "model", None, "nan", float("1e400")]
    rows = compare_executions([row(f"t{number}", outputs={"x": value}) for number, value in enumerate(values)])
    assert list_outputs(rows) == ["x"]
    assert [point.value for point in make_points(rows, "x")][::-1] == [3, 2.5, None, None, None, None, None]
    assert list_outputs(rows[2:]) == []
    assert [point.label for point in make_points(rows, "x")] == ["r"] * 7
    assert {point.status for point in make_points(rows, "x")} == {"Succeeded"}


def test_a_point_is_named_by_the_run_s_time_to_the_minute() -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    rows = compare_executions([ExecutionRow("r", when, "success", ("train", -1), "success", {"status": "Failed"})])
    assert rows[0]["when"] == "2026-01-02T03:04:05+00:00"
    (point,) = make_points(rows, DURATION)
    assert (point.label, point.value, point.status) == ("2026-01-02 03:04", None, "Failed")


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({"source": None, "output": None}, ("a", "mae", 1)),
        ({"source": "b", "output": "mae"}, ("b", "rmse", 2)),
        ({"source": "b", "output": "name"}, ("b", "rmse", 2)),
        ({"source": "other", "output": DURATION}, ("a", DURATION, 1)),
    ],
)
def test_one_source_and_one_value_of_it_are_shown(asked: dict[str, Any], shown: tuple[str, str, int]) -> None:
    rows = [row("b", outputs={"rmse": 1}), row("a", outputs={"mae": 2}), row("b", outputs={"rmse": 3, "name": "x"})]
    answer = answer_dag(rows, **asked)
    assert answer["sources"] == ["a", "b"]
    assert (answer["source"], answer["output"], len(answer["rows"])) == shown
    assert {one["source"] for one in answer["rows"]} == {shown[0]}
    assert answer["outputs"] == [{"a": "mae", "b": "rmse"}[shown[0]], DURATION]
    title = "Seconds from the first step" if shown[1] == DURATION else f"{shown[1]}<"
    assert f">{title}" in answer["chart"]


def test_a_dag_without_executions_has_no_chart() -> None:
    assert answer_dag([], source="a", output=None) == {
        "sources": [],
        "source": None,
        "rows": [],
        "outputs": [DURATION],
        "output": DURATION,
        "chart": None,
    }


def test_tasks_that_only_end_like_a_group_s_are_rows_of_their_own() -> None:
    rows = [row("g.ended", status="Failed"), row("run"), row("h.run"), row("g.run")]
    rows += [ExecutionRow("r2", None, "success", ("g.ended", -1), "success", {"status": "Stopped"})]
    rows += [ExecutionRow("r", None, "success", ("g.run", 0), "success", {"status": "Succeeded"})]
    found = [(one["run_id"], one["source"], one["status"]) for one in compare_executions(rows)]
    assert found == [
        ("r", "run", "Succeeded"),
        ("r", "h", "Succeeded"),
        ("r", "g", "Failed"),
        ("r2", "g.ended", "Stopped"),
        ("r", "g [0]", "Succeeded"),
    ]
