"""``migrate``: work that was run without pipelines, as pipelines and a DAG. A module for each kind of source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.commands.migrate import airflow, assess, compare, jobs, kubeflow, provider, stepfunctions
from airflow_sm_pipelines.cli.migration_output import EXIT_CODES
from airflow_sm_pipelines.cli.shared_options import add_subcommands

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command with its subcommands."""
    parser = commands.add_parser(
        "migrate",
        help="turn work that was run without pipelines into pipelines and a DAG",
        description="Write an Airflow DAG file, the definitions of its pipelines, and a report that says what became "
        "of each node. What no pipeline step does becomes an Airflow task. Nothing is asked of AWS.",
        epilog=EXIT_CODES,
    )
    sources = add_subcommands(parser, title="sources", metavar="SOURCE")
    jobs.add(sources)
    stepfunctions.add(sources)
    kubeflow.add(sources)
    airflow.add(sources)
    provider.add(sources)
    assess.add(sources)
    compare.add(sources)
