"""Costs as JSON: what ``sm-pipelines cost --json`` writes and the cost operator puts into XCom."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.cost.billed import BilledCost
    from airflow_sm_pipelines.cost.estimate import CostEstimate
    from airflow_sm_pipelines.definition import JsonObject, JsonValue


def estimate_to_json(estimate: CostEstimate) -> JsonObject:
    """``{"source": "estimate", "currency", "total", "steps": [...], "free": [...], "unpriced": [...]}``."""
    steps: list[JsonValue] = [
        {
            "step": step.use.step,
            "kind": step.use.kind,
            "instance_type": step.use.instance_type,
            "instance_count": step.use.instance_count,
            "seconds": step.use.seconds,
            "hourly": step.hourly,
            "amount": step.amount,
        }
        for step in estimate.steps
    ]
    return {
        "source": "estimate",
        "currency": estimate.currency,
        "total": estimate.total,
        "steps": steps,
        "free": list(estimate.free),
        "unpriced": list(estimate.unpriced),
    }


def billed_to_json(cost: BilledCost, notes: Sequence[str]) -> JsonObject:
    """``{"source": "billed", "currency", "total", "steps": [{"step", "amount"}], "notes": [...]}``."""
    return {
        "source": "billed",
        "currency": cost.currency,
        "total": cost.amount,
        "steps": [{"step": name, "amount": amount} for name, amount in cost.by_group.items()],
        "notes": list(notes),
    }
