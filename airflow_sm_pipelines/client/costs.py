"""Asks SageMaker, the price list and Cost Explorer what an execution cost.

The rules of the estimate and of the bill are in :mod:`airflow_sm_pipelines.cost`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.answers import ask, ask_pages
from airflow_sm_pipelines.cost import (
    LAG,
    BilledCost,
    CostEstimate,
    JobUse,
    PriceTable,
    estimate_cost,
    explain_billed,
    find_price_list_region,
    make_cost_request,
    make_price_request,
    parse_job_use,
    parse_price_list,
    sum_costs,
)
from airflow_sm_pipelines.definition.arns import parse_execution_arn, resource_name_of
from airflow_sm_pipelines.exceptions import PipelineApiError, PriceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import StepReport

_JOB_KINDS = {
    "ProcessingJob": "Processing",
    "TrainingJob": "Training",
    "TransformJob": "Transform",
    "QualityCheck": "Processing",
    "ClarifyCheck": "Processing",
}
"""The job behind a step, by the key of its metadata."""

_RUNNING = ("Executing", "Stopping")


@dataclass(frozen=True, slots=True)
class Bill:
    """The costs of an execution, from Cost Explorer.

    :param notes: sentences on how far to trust the number.
    :param final_from: from when on Cost Explorer has everything; aware.
    """

    cost: BilledCost
    notes: tuple[str, ...]
    final_from: datetime


class CostCalls:
    """Finds out what executions cost.

    :param calls: the connection, in the region that the execution ran in.
    """

    def __init__(self, calls: SageMakerCalls) -> None:
        self._calls = calls

    def estimate(self, arn: str, *, prices: PriceTable | None) -> CostEstimate:
        """What the instances of an execution cost, so far if it still runs.

        :param prices: the prices; None for those of AWS's public price list.
        :raises PriceError: if the price list cannot be asked.
        :raises PipelineApiError: if SageMaker cannot be asked.
        """
        now = datetime.now(timezone.utc)
        steps = self._calls.describe_execution_steps(arn)
        uses = [use for step in steps for use in self._list_uses(step, now=now)]
        paid = {use.step for use in uses}
        free = dict.fromkeys(step.name for step in steps if step.name not in paid)
        if prices is None:
            prices = self.fetch_prices({use.instance_type for use in uses})
        return estimate_cost(uses, prices, free=tuple(free))

    def fetch_prices(self, instance_types: Iterable[str]) -> PriceTable:
        """The prices of AWS's public price list, one call for each type.

        :raises PriceError: if it cannot be asked.
        """
        products: list[str] = []
        client = self._calls.client_of("pricing", region_name=find_price_list_region(self._calls.conn_region_name))
        try:
            for instance_type in sorted(instance_types):
                request = make_price_request(instance_type, region=self._calls.conn_region_name)
                products += ask_pages(client, "get_products", instance_type, member="PriceList", **request)
        except PipelineApiError as error:
            raise PriceError(f"AWS's price list cannot be asked. Give a file of prices instead. {error}") from error
        return parse_price_list(products)

    def bill(self, arn: str, *, tag_key: str) -> Bill:
        """What Cost Explorer has for an execution's tag. AWS charges a cent for each page of the answer.

        :param tag_key: the tag that holds the execution's id.
        :raises PipelineApiError: if SageMaker or Cost Explorer cannot be asked.
        """
        now = datetime.now(timezone.utc)
        started, ended = self._span(arn, now)
        request = make_cost_request(
            tag_key=tag_key,
            tag_value=parse_execution_arn(arn)[1],
            started=started,
            ended=ended,
        )
        cost = sum_costs(self._cost_pages(request))
        notes = explain_billed(cost, tag_key=tag_key, ended=ended, now=now)
        return Bill(cost, notes, ended + LAG)

    def bill_is_final_from(self, arn: str) -> datetime:
        """When Cost Explorer has everything: a day after the execution's end, or after now while it runs."""
        return self._span(arn, datetime.now(timezone.utc))[1] + LAG

    def _span(self, arn: str, now: datetime) -> tuple[datetime, datetime]:
        """When an execution started and ended; now for the end of a running one."""
        report, created, changed = self._calls.describe_execution_times(arn)
        is_running = report.status in _RUNNING
        return created or now, now if is_running else changed or now

    def _cost_pages(self, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
        # botocore has no paginator for GetCostAndUsage.
        client = self._calls.client_of("ce")
        token: dict[str, Any] = {}
        while True:
            started = str(request["TimePeriod"]["Start"])
            page = ask(client, "get_cost_and_usage", started, required=("ResultsByTime",), **request, **token)
            yield page
            if not page.get("NextPageToken"):
                return
            token = {"NextPageToken": page["NextPageToken"]}

    def _list_uses(self, step: StepReport, *, now: datetime) -> Iterator[JobUse]:
        """What a step's jobs used. A tuning job stands for its training jobs; a cached result has none."""
        if step.cached_from:
            return
        for kind, job in self._job_names(step.metadata or {}):
            operation = f"describe_{kind.lower()}_job"
            asked: dict[str, Any] = {f"{kind}JobName": job}
            description = self._calls.ask(operation, job, required=tuple(asked), **asked)
            yield from parse_job_use(step.name, kind, description, now=now)

    def _job_names(self, metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for key, kind in _JOB_KINDS.items():
            arn = (metadata.get(key) or {}).get("Arn") or (metadata.get(key) or {}).get("CheckJobArn")
            if arn:
                yield kind, resource_name_of(str(arn))
        tuning = (metadata.get("TuningJob") or {}).get("Arn")
        if tuning:
            job = resource_name_of(str(tuning))
            for name in self._calls.list_tuned_jobs(job):
                yield "Training", name
