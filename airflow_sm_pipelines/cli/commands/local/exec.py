"""``local exec``: one command with AWS pointing to a local endpoint."""

from __future__ import annotations

import argparse
import shutil
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_endpoint_options
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.server import RunningServer


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "exec",
        help="run one command with AWS pointing to a local endpoint",
        usage="%(prog)s [options] -- COMMAND ...",
        description="Start the endpoint, run the command with AWS pointing to it in that command's environment only, "
        "and stop. Ends with the command's exit code.",
        epilog="Example: sm-pipelines local exec -- airflow dags test train_model",
    )
    add_endpoint_options(parser, port=0, port_help="the endpoint's port (a free one)")
    parser.add_argument(
        "--progress",
        action="store_true",
        help="show the executions while the command runs, below its output; for commands that ask no questions",
    )
    parser.add_argument("--quiet", action="store_true", help="say nothing but errors")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND", help="the command and its arguments")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run a command against an endpoint of its own, and give the command's exit code."""
    from airflow_sm_pipelines.cli.local_session import announced_endpoint, explain_not_runnable, run_command

    command = list(arguments.command)
    if command[:1] == ["--"]:
        command = command[1:]
    if not command:
        raise LocalEndpointError(
            "No command to run. Write it after two dashes: sm-pipelines local exec -- airflow dags test train_model"
        )
    if shutil.which(command[0]) is None:
        return explain_not_runnable(command[0])
    with announced_endpoint(arguments) as server:
        if not arguments.progress:
            return _explain(command, server, run_command(command, server.environment()))
        from airflow_sm_pipelines.cli.progress import show_started_executions

        with show_started_executions(server) as streams:
            return run_command(command, server.environment(), **streams)


def _explain(command: list[str], server: RunningServer, exit_code: int) -> int:
    """Say what Airflow does not: where it has looked for a DAG that it has not found."""
    from airflow_sm_pipelines.cli.airflow_command import explain_missing_dag
    from airflow_sm_pipelines.cli.terminal import complain

    text = explain_missing_dag(command, server.environment()) if exit_code else None
    if text is not None:
        complain(f"sm-pipelines: {text}")
    return exit_code
