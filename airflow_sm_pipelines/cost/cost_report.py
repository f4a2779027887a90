"""Writes an estimate or a bill as a table for a terminal or a log, and as JSON for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.cost.billed import BilledCost
    from airflow_sm_pipelines.cost.estimate import CostEstimate
    from airflow_sm_pipelines.definition import JsonObject, JsonValue


def render_estimate(estimate: CostEstimate) -> str:
    """A table with a line for each step, the sum, and what the sum leaves out."""
    rows = [("Step", "Instances", "Hours", f"{estimate.currency}/h", estimate.currency)]
    for step in estimate.steps:
        rows.append(
            (
                step.use.step,
                f"{step.use.instance_count} x {step.use.instance_type}",
                f"{step.use.hours:.3f}",
                "?" if step.hourly is None else f"{step.hourly:.4f}",
                "?" if step.amount is None else f"{step.amount:.4f}",
            )
        )
    rows += [(name, "none", "", "", f"{0:.4f}") for name in estimate.free]
    rows.append(("Total", "", f"{sum(step.use.hours for step in estimate.steps):.3f}", "", f"{estimate.total:.4f}"))
    lines = _align(rows, left=2)
    if estimate.unpriced:
        lines.append(f"No price for {', '.join(estimate.unpriced)}: the total leaves them out.")
    lines.append("An estimate for instances only: volumes, storage and requests cost extra.")
    return "\n".join(lines)


def render_billed(cost: BilledCost, notes: Sequence[str] = ()) -> str:
    """A table with a line for each step, the sum, and the notes.

    :param notes: of :func:`explain_billed`.
    """
    rows = [("Step", cost.currency), *((name, f"{amount:.4f}") for name, amount in cost.by_group.items())]
    rows.append(("Total", f"{cost.amount:.4f}"))
    return "\n".join([*_align(rows, left=1), *notes])


def estimate_to_json(estimate: CostEstimate) -> JsonObject:
    """The estimate as JSON: ``{"source": "estimate", "currency", "total", "steps": [...], "free": [...],
    "unpriced": [...]}``."""
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
    """The bill: ``{"source": "billed", "currency", "total", "steps": [{"step", "amount"}], "notes": [...]}``."""
    return {
        "source": "billed",
        "currency": cost.currency,
        "total": cost.amount,
        "steps": [{"step": name, "amount": amount} for name, amount in cost.by_group.items()],
        "notes": list(notes),
    }


def _align(rows: Sequence[tuple[str, ...]], *, left: int) -> list[str]:
    """Lines with columns as wide as their longest entry.

    :param left: how many columns are aligned left; the others, with numbers, are aligned right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
