"""``stop``: an execution, told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_command,
    add_connection_options,
    add_execution,
    open_execution,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

NOT_RUNNING = 1
"""The exit code for an execution that had ended, or was stopping already."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "stop", "stop an execution and the jobs of its steps")
    add_execution(parser)
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Stop an execution."""
    from airflow_sm_pipelines.cli.terminal import complain, say
    from airflow_sm_pipelines.client.request_tokens import make_stop_token

    calls = open_execution(arguments)
    arn = arguments.execution
    if calls.stop_execution(arn, token=make_stop_token(arn)):
        say(f"{arn} is told to stop. Follow it: sm-pipelines watch {arn}")
        return 0
    complain(f"Nothing to stop: {arn} is {calls.describe_execution(arn).status}.")
    return NOT_RUNNING
