"""The batch scoring example, unchanged, beside the real local endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.airflow_runs import DagRunner

pytestmark = pytest.mark.slow


def test_the_example_trains_makes_a_model_and_scores_a_test_set(local: DagRunner) -> None:
    result = local.test("batch_scoring", conf={}, timeout_seconds=600)
    assert result.exit_code == 0, result.output[-6000:]
    steps: list[dict[str, Any]] = result.xcom("score", "steps")
    assert [(step["name"], step["status"]) for step in steps] == [
        ("Split", "Succeeded"),
        ("Train", "Succeeded"),
        ("Model-CreateModel", "Succeeded"),
        ("Score", "Succeeded"),
    ]
    assert result.xcom("score", "scores").endswith("/scores")
    # Always guessing the mean gives about 65.
    assert 30 < result.xcom("measure") < 55
