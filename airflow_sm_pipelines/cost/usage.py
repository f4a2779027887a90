"""The instances that a step's job took, and for how long, from the answers of the Describe calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

_CLUSTERS = {
    "Processing": ("ProcessingResources", "ClusterConfig"),
    "Training": ("ResourceConfig",),
    "Transform": ("TransformResources",),
}


@dataclass(frozen=True, slots=True)
class JobUse:
    """Instances of one type, used by one job.

    :param step: the step's name.
    :param kind: ``Processing``, ``Training`` or ``Transform``; a tuning job's parts are ``Training``.
    :param seconds: the time that is billed for each instance.
    """

    step: str
    kind: str
    instance_type: str
    instance_count: int
    seconds: float

    @property
    def hours(self) -> float:
        """Instance hours."""
        return self.instance_count * self.seconds / 3600


def parse_job_use(step: str, kind: str, description: Mapping[str, Any], *, now: datetime) -> tuple[JobUse, ...]:
    """What a job used, by type of instance; so far, if it still runs.

    ``BillableTimeInSeconds`` counts where the service gives it: it is the wall-clock time of each instance, less what
    spot saved (``DescribeTrainingJob``). Elsewhere the time from start to end counts.

    :param description: the answer of the job's Describe call.
    """
    cluster: Any = description
    for key in _CLUSTERS.get(kind, ()):
        cluster = cluster.get(key) or {}
    seconds = _seconds(kind, description, now)
    groups = cluster.get("InstanceGroups") or [cluster]
    return tuple(
        JobUse(step, kind, instance_type, int(group.get("InstanceCount") or 1), seconds)
        for group in groups
        for instance_type in _types(group)
    )


def _types(group: Mapping[str, Any]) -> Iterator[str]:
    instance_type = group.get("SelectedInstanceType") or group.get("InstanceType")
    if instance_type:
        yield str(instance_type)


def _seconds(kind: str, description: Mapping[str, Any], now: datetime) -> float:
    billable = description.get("BillableTimeInSeconds")
    if billable is not None:
        return float(billable)
    started: datetime | None = description.get(f"{kind}StartTime")
    if started is None:
        return 0.0
    ended: datetime = description.get(f"{kind}EndTime") or now
    return max(0.0, (ended - started).total_seconds())
