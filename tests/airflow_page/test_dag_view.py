"""The comparison: one row for each pipeline of a run, and what a chart can show."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.airflow_page.dag_view import DURATION, compare_executions, list_outputs, make_points
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
