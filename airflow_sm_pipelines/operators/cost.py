"""The operator that reports what an execution cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.choices import check_choice
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.option_reader import parse_arguments, parse_execution, parse_flag
from airflow_sm_pipelines.printable_text import clean_log_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.client.costs import CostCalls
    from airflow_sm_pipelines.definition.json_value import JsonObject


CostSource = Literal["estimate", "billed"]
"""Where the costs come from."""


class SageMakerPipelineCostOperator(SageMakerPipelinesOperator):
    """Report what each step of an execution cost: a table in the log, the numbers in an XCom, and a chart in S3.

    XCom: ``{"source", "currency", "total", "steps": [{"step", "amount", ...}], ...}``; an estimate's steps also have
    ``kind``, ``instance_type``, ``instance_count``, ``seconds`` and ``hourly``, a bill has ``notes``.

    :param execution_arn: the execution: its ARN, or what the run operator returns.
    :param source: ``"estimate"``, at once, from what the jobs used; or ``"billed"``, from Cost Explorer by the
        execution's tag, which is complete a day after the end.
    :param prices: for an estimate: a TOML file of hourly prices, relative to the DAG file; None for AWS's public price
        list, which needs ``pricing:GetProducts``.
    :param wait_for_bill: for a bill: defer until a day after the execution's end, instead of reporting what Cost
        Explorer has now.
    :param tag_key: for a bill: the tag that holds the execution's id; the default is what ``cost_tags`` puts there.
    :param chart_uri: also write a bar chart, SVG, to this S3 URI.
    """

    custom_operator_name = "SM pipeline cost"
    template_fields: Sequence[str] = (
        "execution_arn",
        "source",
        "prices",
        "wait_for_bill",
        "tag_key",
        "chart_uri",
        *AWS_TEMPLATE_FIELDS,
    )

    def __init__(
        self,
        *,
        execution_arn: str,
        source: CostSource = "estimate",
        prices: str | None = None,
        wait_for_bill: bool = False,
        tag_key: str = "sm-pipelines:execution",
        chart_uri: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.execution_arn = execution_arn
        self.source = source
        self.prices = prices
        self.wait_for_bill = wait_for_bill
        self.tag_key = tag_key
        self.chart_uri = chart_uri

    @failing_fast()
    def execute(self, context: Context, event: Any = None) -> JsonObject:
        """Ask for the costs, and report them.

        :param event: of the trigger that has waited for the bill; it holds nothing of use.
        """
        from airflow_sm_pipelines.client.costs import CostCalls

        check_choice("source", self.source, CostSource)
        parse_arguments(self, {"execution_arn": (parse_execution, ""), "wait_for_bill": (parse_flag, False)})
        hook = self.make_hook()
        calls = CostCalls(hook)
        table, document = self._estimate(calls) if self.source == "estimate" else self._bill(calls)
        for line in table.splitlines():
            self.log.info("%s", clean_log_text(line))
        if self.chart_uri:
            hook.write_s3_text(self.chart_uri, self._draw(document))
            self.log.info("The chart is at %s", self.chart_uri)
        return document

    def _estimate(self, calls: CostCalls) -> tuple[str, JsonObject]:
        from airflow_sm_pipelines.cost import estimate_to_json, load_prices, render_estimate
        from airflow_sm_pipelines.deployment.options import resolve_path

        prices = None
        if self.prices:
            prices = load_prices(resolve_path(self.prices, folder=self.dag.folder))
        estimate = calls.estimate(self.execution_arn, prices=prices)
        return render_estimate(estimate), estimate_to_json(estimate)

    def _bill(self, calls: CostCalls) -> tuple[str, JsonObject]:
        from airflow_sm_pipelines.cost import billed_to_json, render_billed

        if self.wait_for_bill:
            self._wait(calls)
        bill = calls.bill(self.execution_arn, tag_key=self.tag_key)
        return render_billed(bill.cost, bill.notes), billed_to_json(bill.cost, bill.notes)

    def _wait(self, calls: CostCalls) -> None:
        from datetime import datetime, timezone

        moment = calls.bill_is_final_from(self.execution_arn)
        if moment <= datetime.now(timezone.utc):
            return
        from airflow.providers.standard.triggers.temporal import DateTimeTrigger

        self.log.info("Cost Explorer is up to a day late: waiting until %s.", moment.isoformat(timespec="minutes"))
        self.defer(trigger=DateTimeTrigger(moment=moment), method_name="execute")

    def _draw(self, document: JsonObject) -> str:
        from airflow_sm_pipelines.render import render_cost_svg

        steps: Any = document["steps"]
        costs = [(str(step["step"]), step["amount"]) for step in steps]
        title = self.execution_arn.rpartition(":pipeline/")[2]
        return render_cost_svg(costs, currency=str(document["currency"]), title=title)
