"""The cost operator: what it waits for, what it refuses, and what it reports."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerPipelineCostOperator
from airflow_sm_pipelines.airflow_names import AirflowFailException, TaskDeferred
from airflow_sm_pipelines.client.costs import Bill, CostCalls
from airflow_sm_pipelines.cost import BilledCost

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/train/execution/abc123def456"
NOW = datetime.now(timezone.utc)


def make(monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> tuple[SageMakerPipelineCostOperator, dict[str, str]]:
    """An operator whose S3 is a dictionary."""
    written: dict[str, str] = {}
    hook = SimpleNamespace(client_of=None, conn_region_name="us-east-1", write_s3_text=written.__setitem__)
    with DAG("costs", schedule=None):
        operator = SageMakerPipelineCostOperator(task_id="cost", **{"execution_arn": ARN, **arguments})
    monkeypatch.setattr(operator, "make_hook", lambda: hook)
    return operator, written


def bill_of(monkeypatch: pytest.MonkeyPatch, final_from: datetime) -> None:
    bill = Bill(BilledCost(2.0, "USD", {"Train": 1.5, "Pack & ship": 0.5}), ("Something to know.",), final_from)
    monkeypatch.setattr(CostCalls, "bill", lambda *_, **__: bill)
    monkeypatch.setattr(CostCalls, "bill_is_final_from", lambda *_: final_from)


def test_a_bill_is_waited_for_only_when_asked_to_and_only_when_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    tomorrow = NOW + timedelta(days=1)
    bill_of(monkeypatch, tomorrow)
    waiting, _ = make(monkeypatch, source="billed", wait_for_bill=True)
    with pytest.raises(TaskDeferred) as deferred:
        waiting.execute({})
    assert deferred.value.trigger.serialize()[1]["moment"] == tomorrow
    impatient, _ = make(monkeypatch, source="billed")
    expected = {
        "source": "billed",
        "currency": "USD",
        "total": 2.0,
        "steps": [{"step": "Train", "amount": 1.5}, {"step": "Pack & ship", "amount": 0.5}],
        "notes": ["Something to know."],
    }
    assert impatient.execute({}) == expected
    bill_of(monkeypatch, NOW - timedelta(seconds=1))
    assert waiting.execute({}, event={"moment": "passed"}) == expected


def test_the_chart_goes_to_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    bill_of(monkeypatch, NOW)
    operator, written = make(monkeypatch, source="billed", chart_uri="s3://bucket/cost.svg")
    operator.execute({})
    chart = written["s3://bucket/cost.svg"]
    assert chart.startswith("<svg")
    assert "Pack &amp; ship: 0.5000 USD" in chart
    assert "2.0000 USD" in chart


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"execution_arn": "None"}, "='None': expected an execution's ARN"),
        ({"source": "guess"}, "source='guess': expected one of 'estimate', 'billed'"),
        ({"prices": "no-such-file.toml"}, "cannot be read"),
    ],
)
def test_what_no_retry_can_mend_fails_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: Any, reason: str
) -> None:
    operator, _ = make(monkeypatch, **arguments)
    with pytest.raises(AirflowFailException, match=reason):
        operator.execute({})
