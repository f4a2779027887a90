"""The cost operator: what it waits for, what it refuses, and what it reports."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk import DAG

from airflow_sm_pipelines import SageMakerPipelineCostOperator, cost
from airflow_sm_pipelines.airflow_names import AirflowFailException, TaskDeferred
from airflow_sm_pipelines.client.costs import Bill, CostCalls
from airflow_sm_pipelines.cost import BilledCost

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/train/execution/abc123def456"
TAG = "sm-pipelines:execution"
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
    monkeypatch.setattr(CostCalls, "bill", lambda _, arn, *, tag_key: bill if (arn, tag_key) == (ARN, TAG) else None)
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
    assert ">train/execution/abc123def456<" in chart


@pytest.mark.parametrize(("given", "read"), [(None, None), ("prices.toml", "read")])
def test_an_estimate_is_made_with_the_prices_beside_the_dag_file_or_with_those_of_aws(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, given: str | None, read: str | None
) -> None:
    asked: list[Any] = []

    def estimate(_: CostCalls, arn: str, *, prices: Any) -> Any:
        asked.append((arn, prices))
        return "estimated"

    monkeypatch.setattr(CostCalls, "estimate", estimate)
    monkeypatch.setattr(cost, "load_prices", lambda path: "read" if path == tmp_path / "prices.toml" else "else")
    monkeypatch.setattr(cost, "render_estimate", lambda one: f"{one} table\x1b[2J\nsecond")
    monkeypatch.setattr(cost, "estimate_to_json", lambda one: {"of": one})
    operator, _ = make(monkeypatch, prices=given)
    operator.dag.fileloc = str(tmp_path / "dag.py")
    lines: list[str] = []
    monkeypatch.setattr(
        operator, "_cached_logger", SimpleNamespace(info=lambda text, *more: lines.append(text % more), warning=print)
    )
    assert operator.execute({}) == {"of": "estimated"}
    assert asked == [(ARN, read)]
    assert lines == ["estimated table\\x1b[2J", "second"]


def test_a_bill_is_shown_with_its_notes_and_found_by_the_tag_that_holds_the_execution(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    bill_of(monkeypatch, NOW)
    operator, _ = make(monkeypatch, source="billed")
    lines: list[str] = []
    monkeypatch.setattr(
        operator, "_cached_logger", SimpleNamespace(info=lambda text, *more: lines.append(text % more), warning=print)
    )
    operator.execute({})
    assert "Something to know." in "\n".join(lines)
    own = make(monkeypatch, source="billed", tag_key="ours")[0]
    monkeypatch.setattr(CostCalls, "bill", lambda _, arn, *, tag_key: pytest.fail("asked") if tag_key == TAG else 1 / 0)
    with pytest.raises(ZeroDivisionError):
        own.execute({})


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
