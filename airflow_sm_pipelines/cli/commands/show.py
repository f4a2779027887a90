"""``show``: an execution as it is now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_command,
    add_connection_options,
    add_execution,
    add_json_option,
    explain_exit_codes,
    open_execution,
    parse_count,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "show", "show the steps of an execution as they are now")
    add_execution(parser)
    parser.add_argument(
        "--log-lines",
        type=parse_count,
        default=20,
        metavar="N",
        help="last log lines to show of a failed step's job (20)",
    )
    add_json_option(parser, "the execution")
    add_connection_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show an execution once."""
    from airflow_sm_pipelines.cli.execution_view import ExecutionReader
    from airflow_sm_pipelines.cli.progress import open_progress
    from airflow_sm_pipelines.cli.terminal import say, say_json

    calls = open_execution(arguments)
    arn = arguments.execution
    view = ExecutionReader(calls, log_lines=arguments.log_lines, is_live=False).read(arn)
    if arguments.as_json:
        say_json(view.report.to_json())
        return 0
    with open_progress(sys.stdout)[0] as progress:
        progress.show([view])
    if not view.report.is_terminal:
        say(f"It is {view.report.status}. Follow it: sm-pipelines watch {arn}")
    return 0
