"""Asks two accounts the same questions, one after the other, and tells where their answers differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.account_probes.account import Account
    from airflow_sm_pipelines.account_probes.probes import Probe
    from airflow_sm_pipelines.cost import PriceTable
    from airflow_sm_pipelines.definition import JsonValue


@dataclass(frozen=True, slots=True)
class Finding:
    """What two accounts answer to a probe."""

    probe: Probe
    aws: JsonValue
    local: JsonValue

    @property
    def is_equal(self) -> bool:
        """Whether they answer alike."""
        return self.aws == self.local


def compare(probes: Sequence[Probe], aws: Account, local: Account) -> Iterator[Finding]:
    """Ask each question of both accounts."""
    for probe in probes:
        yield Finding(probe, _ask(probe, aws), _ask(probe, local))


def estimate_price(probes: Sequence[Probe], prices: PriceTable, instance_type: str) -> float | None:
    """What the instances of the probes cost at most; None if the table has no price for them."""
    minutes = sum(probe.instance_minutes for probe in probes)
    hourly = prices.find("Processing", instance_type) if minutes else 0.0
    return None if hourly is None else minutes / 60 * hourly


def _ask(probe: Probe, account: Account) -> JsonValue:
    try:
        return probe.ask(account)
    except (ClientError, BotoCoreError, SageMakerPipelinesError, LookupError) as error:
        # An account that does not let the probe go on has answered, too.
        return {"error": f"{type(error).__name__}: {error}".replace(account.run_id, "RUN")}
