"""``dags``: DAGs on this machine, with the local endpoint in place of AWS. A module for each subcommand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.commands.dags import serve, test
from airflow_sm_pipelines.cli.shared_options import add_subcommands

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command with its subcommands."""
    parser = commands.add_parser(
        "dags",
        help="run DAGs on this machine, in a scratch Airflow where none is set up",
        description="Airflow's own commands under 'local exec', with AWS answered on this machine. Where neither "
        "AIRFLOW_HOME nor ~/airflow/airflow.cfg says that an Airflow is set up, a scratch one is made in .airflow "
        "of this folder, for the DAG files of its folder 'dags'.",
    )
    subcommands = add_subcommands(parser, title="commands", metavar="COMMAND")
    test.add(subcommands)
    serve.add(subcommands)
