"""``watch``: an execution that was started elsewhere, shown until its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_connection_options,
    add_execution,
    add_progress_options,
    open_execution,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "watch",
        help="show an execution until its end",
        description="Show the steps of an execution until it ends: live on a terminal, as plain lines elsewhere.",
        epilog="Exit codes: 0 the execution succeeded; 1 it ended otherwise; 2 it cannot be watched.",
    )
    add_execution(parser)
    add_progress_options(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show an execution that was started elsewhere."""
    from airflow_sm_pipelines.cli.progress import follow_execution

    calls = open_execution(arguments)
    return follow_execution(calls, arguments.execution, arguments)
