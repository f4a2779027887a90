"""What an execution cost, as far as instances and a price table tell: at once, where a bill takes a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.cost.prices import PriceTable
    from airflow_sm_pipelines.cost.usage import JobUse


@dataclass(frozen=True, slots=True)
class StepCost:
    """The cost of one job's instances of one type.

    :param amount: ``None`` where the table has no price.
    """

    use: JobUse
    hourly: float | None
    amount: float | None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The cost of an execution's instances, step by step.

    :param free: steps that took no instance: from the cache, or of a kind that takes none.
    """

    currency: str
    steps: tuple[StepCost, ...]
    free: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The sum of what has a price."""
        return sum(step.amount or 0.0 for step in self.steps)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The types of instances without a price, which the sum leaves out."""
        return tuple(dict.fromkeys(step.use.instance_type for step in self.steps if step.hourly is None))


def estimate_cost(uses: Sequence[JobUse], prices: PriceTable, *, free: Sequence[str] = ()) -> CostEstimate:
    """The cost of what was used.

    Only instances count: volumes, S3, data transfer and requests come on top.

    :param free: steps that used nothing.
    """
    steps = []
    for use in uses:
        hourly = prices.find(use.kind, use.instance_type)
        steps.append(StepCost(use, hourly, None if hourly is None else hourly * use.hours))
    return CostEstimate(prices.currency, tuple(steps), tuple(free))
