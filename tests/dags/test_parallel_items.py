"""The parallel items example, unchanged, beside the real local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


def test_the_example_runs_once_per_item_and_finds_the_best(local: DagRunner) -> None:
    result = local.test("parallel_items", conf={}, timeout_seconds=300)
    assert result.exit_code == 0, result.output[-6000:]
    steps: list[dict[str, Any]] = result.xcom("score", "steps")
    assert {(step["name"], step.get("iteration"), step["status"]) for step in steps} == {
        ("ScoreAll", None, "Succeeded"),
        ("Score-0", 0, "Succeeded"),
        ("Score-1", 1, "Succeeded"),
        ("Score-2", 2, "Succeeded"),
    }
    assert result.xcom("score", "count") == 3
    assert "-Score-0-" in result.xcom("score", "first_job")
    assert result.xcom("score", "first_score") == 2.202
    assert result.xcom("find_best")["name"] == "west"
