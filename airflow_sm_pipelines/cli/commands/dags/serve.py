"""``dags serve``: a whole Airflow with its pages, under ``local exec``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from airflow_sm_pipelines.cli.local_contents import add_contents_options, to_words
from airflow_sm_pipelines.cli.scratch_airflow import run_airflow
from airflow_sm_pipelines.cli.shared_options import explain_exit_codes, parse_port

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="run a whole Airflow until Ctrl-C, and open its pages in a browser",
        description="Run 'airflow standalone' with AWS answered on this machine, until Ctrl-C. Its pages answer on "
        "loopback only. In a scratch Airflow nobody has to log in.",
    )
    parser.add_argument("--port", type=parse_port, default=8080, metavar="N", help="of Airflow's pages (8080)")
    add_contents_options(parser)
    explain_exit_codes(parser, own="Airflow")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> NoReturn:
    """Run Airflow until it is ended."""
    from airflow_sm_pipelines.cli.terminal import complain

    complain(f"Airflow's pages will be at http://127.0.0.1:{arguments.port}; Ctrl-C ends it.")
    run_airflow(
        "standalone",
        options=to_words(arguments),
        AIRFLOW__API__HOST="127.0.0.1",
        AIRFLOW__API__PORT=str(arguments.port),
        AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"http://127.0.0.1:{arguments.port}/execution/",
    )
