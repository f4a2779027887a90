"""``stop``: an execution, told to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_command,
    add_connection_options,
    add_execution,
    add_json_option,
    explain_exit_codes,
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
    add_json_option(parser, "what became of it")
    add_connection_options(parser)
    explain_exit_codes(parser, no="the execution was not running")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Stop an execution."""
    from airflow_sm_pipelines.cli.terminal import complain, say, say_json
    from airflow_sm_pipelines.client.request_tokens import make_stop_token

    calls = open_execution(arguments)
    arn = arguments.execution
    was_running = calls.stop_execution(arn, token=make_stop_token(arn))
    status = calls.describe_execution(arn).status
    if arguments.as_json:
        say_json({"pipeline_execution_arn": arn, "status": status, "was_running": was_running})
    elif was_running:
        say(f"{arn} is told to stop. Follow it: sm-pipelines watch {arn}")
    else:
        complain(f"Nothing to stop: {arn} is {status}.")
    return 0 if was_running else NOT_RUNNING
