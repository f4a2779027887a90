"""Costs as tables for a terminal or a log."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.cost.billed import BilledCost
    from airflow_sm_pipelines.cost.estimate import CostEstimate


def render_estimate(estimate: CostEstimate) -> str:
    """The estimate, a line for each step, the sum at the end, and what the sum leaves out."""
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
    lines.append("An estimate of the instances only: volumes, storage and requests come on top.")
    return "\n".join(lines)


def render_billed(cost: BilledCost, notes: Sequence[str] = ()) -> str:
    """The bill, a line for each step."""
    rows = [("Step", cost.currency), *((name, f"{amount:.4f}") for name, amount in cost.by_group.items())]
    rows.append(("Total", f"{cost.amount:.4f}"))
    return "\n".join([*_align(rows, left=1), *notes])


def _align(rows: Sequence[tuple[str, ...]], *, left: int) -> list[str]:
    """Columns as wide as their longest entry, the first ones aligned left and the numbers right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            f"{cell:<{width}}" if column < left else f"{cell:>{width}}"
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
