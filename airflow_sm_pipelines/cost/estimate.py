"""Estimates what an execution cost from the instances that its jobs used and a table of prices.

An estimate is there at once; a bill takes a day. Only instances count: volumes, S3, data transfer and requests cost
extra. Pure: it takes the answers of the Describe calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.cost.prices import PriceTable

_CLUSTERS = {
    "Processing": ("ProcessingResources", "ClusterConfig"),
    "Training": ("ResourceConfig",),
    "Transform": ("TransformResources",),
}


@dataclass(frozen=True, slots=True)
class JobUse:
    """The instances of one type that one job used.

    :param step: the step's name.
    :param kind: ``Processing``, ``Training`` or ``Transform``; the jobs of a tuning job are ``Training``.
    :param seconds: the time that is billed for each instance.
    """

    step: str
    kind: str
    instance_type: str
    instance_count: int
    seconds: float

    @property
    def hours(self) -> float:
        """The instance hours: the hours of all instances together."""
        return self.instance_count * self.seconds / 3600


@dataclass(frozen=True, slots=True)
class StepCost:
    """The cost of one job's instances of one type.

    :param hourly: the price of one instance for an hour; None if the table has no price.
    :param amount: the cost; None if the table has no price.
    """

    use: JobUse
    hourly: float | None
    amount: float | None


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """The cost of an execution's instances, step by step.

    :param free: steps that used no instance: their results came from the cache, or their type needs none.
    """

    currency: str
    steps: tuple[StepCost, ...]
    free: tuple[str, ...] = ()

    @property
    def total(self) -> float:
        """The sum of all known amounts."""
        return sum(step.amount or 0.0 for step in self.steps)

    @property
    def unpriced(self) -> tuple[str, ...]:
        """The instance types without a price, which the sum leaves out."""
        return tuple(dict.fromkeys(step.use.instance_type for step in self.steps if step.hourly is None))


def parse_job_use(step: str, kind: str, description: Mapping[str, Any], *, now: datetime) -> tuple[JobUse, ...]:
    """What a job has used, by instance type.

    ``BillableTimeInSeconds`` counts if the answer has it: the wall-clock time of each instance, minus what spot
    instances saved (source: ``DescribeTrainingJob``). Otherwise the time from start to end counts.

    :param step: the step's name.
    :param kind: the kind of job: ``Processing``, ``Training`` or ``Transform``.
    :param description: the answer of the job's Describe call.
    :param now: the end of the time of a job that still runs.
    """
    seconds = _find_billed_seconds(kind, description, now)
    return tuple(
        JobUse(step, kind, name, int(count or 1), seconds) for name, count in find_instances(kind, description)
    )


def find_instances(kind: str, request: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    """The type and the number of the instances that a job asks for; the number may be None, which means one.

    :param kind: the kind of job; a kind without instances of its own has none.
    :param request: of the job, or the answer of its Describe call. Of a step, values may be expressions.
    """
    cluster: Any = request
    for key in _CLUSTERS.get(kind, ()):
        cluster = cluster.get(key) or {}
    groups = cluster.get("InstanceGroups") or [cluster]
    return [(name, group.get("InstanceCount")) for group in groups for name in _iter_types(group)]


def estimate_cost(uses: Sequence[JobUse], prices: PriceTable, *, free: Sequence[str] = ()) -> CostEstimate:
    """The cost of what was used.

    :param free: steps that used no instance.
    """
    steps = []
    for use in uses:
        hourly = prices.find(use.kind, use.instance_type)
        steps.append(StepCost(use, hourly, None if hourly is None else hourly * use.hours))
    return CostEstimate(prices.currency, tuple(steps), tuple(free))


def _iter_types(group: Mapping[str, Any]) -> Iterator[Any]:
    instance_type = group.get("SelectedInstanceType") or group.get("InstanceType")
    if instance_type:
        yield instance_type


def _find_billed_seconds(kind: str, description: Mapping[str, Any], now: datetime) -> float:
    billable = description.get("BillableTimeInSeconds")
    if billable is not None:
        return float(billable)
    started: datetime | None = description.get(f"{kind}StartTime")
    if started is None:
        return 0.0
    ended: datetime = description.get(f"{kind}EndTime") or now
    return max(0.0, (ended - started).total_seconds())
