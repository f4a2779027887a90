"""The command ``cost``: what an execution cost, by an estimate or by the bill."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.sources import UnreadableSourceError

if TYPE_CHECKING:
    import argparse


def run_cost(arguments: argparse.Namespace) -> int:
    """Show the costs of an execution, step by step."""
    from airflow_sm_pipelines.cli.service import open_costs
    from airflow_sm_pipelines.cost import billed_to_json, estimate_to_json, load_prices, render_billed, render_estimate

    document: Any
    if arguments.billed:
        bill = open_costs(arguments).bill(arguments.execution, tag_key=arguments.tag_key)
        table, document = render_billed(bill.cost, bill.notes), billed_to_json(bill.cost, bill.notes)
    else:
        prices = load_prices(arguments.prices) if arguments.prices else None
        estimate = open_costs(arguments).estimate(arguments.execution, prices=prices)
        table, document = render_estimate(estimate), estimate_to_json(estimate)
    print(json.dumps(document, indent=2) if arguments.as_json else table)
    if arguments.chart is not None:
        _write_chart(document, arguments)
    return 0


def _write_chart(document: Any, arguments: argparse.Namespace) -> None:
    from airflow_sm_pipelines.render import render_cost_svg

    costs = [(str(step["step"]), step["amount"]) for step in document["steps"]]
    title = arguments.execution.rpartition(":pipeline/")[2]
    try:
        arguments.chart.write_text(
            render_cost_svg(costs, currency=str(document["currency"]), title=title), encoding="utf-8"
        )
    except OSError as error:
        raise UnreadableSourceError(f"Cannot write {arguments.chart}: {error.strerror}.") from None
