"""``cost``: what an execution cost, by an estimate or by the bill."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.shared_options import (
    add_connection_options,
    add_execution,
    add_json_option,
    explain_exit_codes,
    open_execution,
)
from airflow_sm_pipelines.exceptions import PriceError
from airflow_sm_pipelines.loopback import is_loopback_url

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

_NO_LOCAL_PRICES = """The local endpoint has no price list and no bill: nothing here costs money.
For what the same seconds would cost on AWS, give prices in a file, --prices prices.toml:
  currency = "USD"
  [hourly]
  "ml.m5.large" = 0.115"""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "cost",
        help="say what an execution cost",
        description="Estimate what the instances of an execution cost, from its jobs and a table of prices; or, a day "
        "later, ask Cost Explorer what was billed under the execution's tag.",
        epilog="Cost Explorer itself costs money for each request. It knows only tags that are activated as cost "
        "allocation tags and were on the jobs: deploy with cost_tags, or with --cost-tag.",
    )
    add_execution(parser)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--prices", type=Path, metavar="FILE", help="estimate, with this TOML file of hourly prices")
    source.add_argument(
        "--list-prices", action="store_true", help="estimate, with the prices of AWS's public price list (the default)"
    )
    source.add_argument("--billed", action="store_true", help="ask Cost Explorer")
    parser.add_argument(
        "--tag-key",
        default="sm-pipelines:execution",
        metavar="KEY",
        help="the tag that holds the execution's id (sm-pipelines:execution)",
    )
    add_json_option(parser, "the costs")
    parser.add_argument("--chart", type=Path, metavar="FILE", help="also draw the steps' costs into this SVG file")
    add_connection_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show the costs of an execution, step by step."""
    from airflow_sm_pipelines.cli.terminal import say, say_json
    from airflow_sm_pipelines.client.costs import CostCalls
    from airflow_sm_pipelines.cost import billed_to_json, estimate_to_json, load_prices, render_billed, render_estimate

    calls = open_execution(arguments)
    if arguments.prices is None and is_loopback_url(calls.conn.meta.endpoint_url):
        raise PriceError(_NO_LOCAL_PRICES)
    document: Any
    if arguments.billed:
        bill = CostCalls(calls).bill(arguments.execution, tag_key=arguments.tag_key)
        table, document = render_billed(bill.cost, bill.notes), billed_to_json(bill.cost, bill.notes)
    else:
        prices = load_prices(arguments.prices) if arguments.prices else None
        estimate = CostCalls(calls).estimate(arguments.execution, prices=prices)
        table, document = render_estimate(estimate), estimate_to_json(estimate)
    if arguments.as_json:
        say_json(document)
    else:
        say(table)
    if arguments.chart is not None:
        _write_chart(document, arguments)
    return 0


def _write_chart(document: Any, arguments: argparse.Namespace) -> None:
    from airflow_sm_pipelines.cli.sources import write_output
    from airflow_sm_pipelines.render import render_cost_svg

    costs = [(str(step["step"]), step["amount"]) for step in document["steps"]]
    title = arguments.execution.rpartition(":pipeline/")[2]
    write_output(arguments.chart, render_cost_svg(costs, currency=str(document["currency"]), title=title))
