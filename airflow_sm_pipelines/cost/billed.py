"""What Cost Explorer says that executions cost, by their tags. Pure: it makes the request and reads the pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cost.cost_tags import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAG = timedelta(hours=24)
"""How late Cost Explorer may be. Source, its documentation: "refreshes your cost data at least once every 24 hours"."""

METRIC = "UnblendedCost"


@dataclass(frozen=True, slots=True)
class BilledCost:
    """A cost as billed so far.

    :param by_group: the amount for each step, or for each value of another tag that the request groups by.
    :param is_estimated: whether the bill may still change.
    """

    amount: float
    currency: str
    by_group: Mapping[str, float] = field(default_factory=dict)
    is_estimated: bool = False


def make_cost_request(
    *, tag_key: str, tag_value: str, started: datetime, ended: datetime, group_by: str = f"{PREFIX}step"
) -> dict[str, Any]:
    """The arguments of ``GetCostAndUsage``; page through the answer.

    :param started: aware; the period begins with its UTC day.
    :param ended: aware; the period includes its UTC day. Cost Explorer excludes the end, so it gets the next day.
    :param group_by: the key of the tag that splits the cost.
    """
    return {
        "TimePeriod": {
            "Start": started.astimezone(timezone.utc).date().isoformat(),
            "End": (ended.astimezone(timezone.utc).date() + timedelta(days=1)).isoformat(),
        },
        "Granularity": "DAILY",
        "Metrics": [METRIC],
        "Filter": {"Tags": {"Key": tag_key, "Values": [tag_value], "MatchOptions": ["EQUALS"]}},
        "GroupBy": [{"Type": "TAG", "Key": group_by}],
    }


def sum_costs(pages: Iterable[Mapping[str, Any]]) -> BilledCost:
    """The sum of all days and pages of the answer."""
    total, currency, is_estimated = 0.0, "USD", False
    groups: dict[str, float] = {}
    for page in pages:
        for day in page.get("ResultsByTime") or []:
            is_estimated = is_estimated or bool(day.get("Estimated"))
            for group in day.get("Groups") or []:
                metric = group["Metrics"][METRIC]
                # A tag's group is named "key$value", without a value if the tag is missing.
                name = str(group["Keys"][0]).partition("$")[2] or "(untagged)"
                amount = float(metric["Amount"])
                currency = str(metric.get("Unit") or currency)
                groups[name] = groups.get(name, 0.0) + amount
                total += amount
            if not day.get("Groups") and METRIC in (day.get("Total") or {}):
                metric = day["Total"][METRIC]
                total += float(metric["Amount"])
                currency = str(metric.get("Unit") or currency)
    return BilledCost(total, currency, groups, is_estimated)


def explain_billed(cost: BilledCost, *, tag_key: str, ended: datetime, now: datetime) -> tuple[str, ...]:
    """Notes on the number: whether it is too early to ask, and why nothing may be billed.

    :param ended: when the execution ended; aware.
    """
    notes = []
    if now - ended < LAG:
        notes.append("Cost Explorer may be 24 hours late: ask again tomorrow, or use the estimate (--prices).")
    elif cost.amount == 0:
        notes.append(
            f"Nothing is billed under the tag {tag_key!r}. Activate it as a cost allocation tag (Billing, Cost "
            "allocation tags): that takes up to 24 hours, and earlier costs stay without tags."
        )
    if cost.is_estimated:
        notes.append("The month is not closed: the bill may still change.")
    return tuple(notes)
