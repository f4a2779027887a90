"""``dags test``: ``airflow dags test`` under ``local exec``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from airflow_sm_pipelines.cli.local_contents import add_contents_options, to_words
from airflow_sm_pipelines.cli.scratch_airflow import run_airflow
from airflow_sm_pipelines.cli.shared_options import add_strict_option, explain_exit_codes

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "test",
        help="run one DAG once, and print its log",
        description="Run one DAG once, in this terminal, with AWS answered on this machine. Ends with 0 if the run "
        "succeeded.",
        epilog="Example: sm-pipelines dags test train_model --conf '{\"MaxDepth\": 5}'",
    )
    parser.add_argument("dag_id", metavar="DAG_ID", help="the DAG")
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="...", help="arguments of 'airflow dags test'")
    add_contents_options(parser)
    add_strict_option(parser)
    explain_exit_codes(parser, own="Airflow's command", no="also if --strict finds what may differ on AWS")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> NoReturn:
    """Run the DAG once."""
    run_airflow(
        "dags",
        "test",
        arguments.dag_id,
        *arguments.rest,
        options=[*to_words(arguments), *["--strict"] * arguments.strict],
    )
