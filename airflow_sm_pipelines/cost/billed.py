"""What Cost Explorer says that executions cost, by their tags. Pure: the request goes out, the pages come in."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cost.tags import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LAG = timedelta(hours=24)
"""How late Cost Explorer may be; its documentation: "refreshes your cost data at least once every 24 hours"."""

METRIC = "UnblendedCost"


@dataclass(frozen=True, slots=True)
class BilledCost:
    """A cost as billed so far.

    :param by_group: the amount for each step (or whatever the request groups by).
    :param is_estimated: whether the bill may still change.
    """

    amount: float
    currency: str
    by_group: Mapping[str, float] = field(default_factory=dict)
    is_estimated: bool = False


def make_cost_request(
    *, tag_key: str, tag_value: str, started: datetime, ended: datetime, group_by: str = f"{PREFIX}step"
) -> dict[str, Any]:
    """The arguments of ``GetCostAndUsage``, for all pages.

    :param started: aware; the first day is that of its UTC date.
    :param ended: aware; Cost Explorer's end is exclusive, so the day after is asked for.
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
    """All days and pages of the answer in one."""
    total, currency, is_estimated = 0.0, "USD", False
    groups: dict[str, float] = {}
    for page in pages:
        for day in page.get("ResultsByTime") or []:
            is_estimated = is_estimated or bool(day.get("Estimated"))
            for group in day.get("Groups") or []:
                metric = group["Metrics"][METRIC]
                # A group of a tag is called "key$value", with nothing behind the sign where the tag is missing.
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
    """What to know about the number: whether it is too early, and what is missing where it is nothing."""
    notes = []
    if now - ended < LAG:
        notes.append("Cost Explorer may be 24 hours late: ask again tomorrow, or take the estimate (--prices).")
    elif cost.amount == 0:
        notes.append(
            f"Nothing is billed under the tag {tag_key!r}. Activate it as a cost allocation tag (Billing, Cost "
            "allocation tags): that takes up to 24 hours, and costs from before are not tagged."
        )
    if cost.is_estimated:
        notes.append("The month is not closed: the bill may still change.")
    return tuple(notes)
