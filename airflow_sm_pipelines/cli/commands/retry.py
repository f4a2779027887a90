"""``retry``: a failed or stopped execution, resumed from the steps that did not succeed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_command,
    add_connection_options,
    add_execution,
    add_progress_options,
    explain_exit_codes,
    open_execution,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

NOT_RESUMABLE = 1
"""The exit code for an execution that runs, has succeeded, or was ended by a Fail step."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands, "retry", "resume a failed or stopped execution from the steps that did not succeed, and show it"
    )
    add_execution(parser)
    parser.add_argument("--no-follow", action="store_true", help="resume it, print its ARN, and end")
    add_progress_options(parser)
    add_connection_options(parser)
    explain_exit_codes(parser, no="the execution cannot be resumed, or has failed again")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Resume an execution, and show it until its end."""
    import uuid

    from airflow_sm_pipelines.cli.progress import follow_execution
    from airflow_sm_pipelines.cli.terminal import complain, say
    from airflow_sm_pipelines.runs.submission import is_resumable

    calls = open_execution(arguments)
    arn = arguments.execution
    report = calls.describe_report(arn)
    if report.status not in ("Failed", "Stopped"):
        complain(f"Nothing to resume: {arn} is {report.status}. 'sm-pipelines run' starts another execution.")
        return NOT_RESUMABLE
    if not is_resumable(report):
        complain(
            f"A Fail step ended {arn}, and such an execution cannot be resumed. 'sm-pipelines run' starts another."
        )
        return NOT_RESUMABLE
    calls.retry_execution(arn, token=str(uuid.uuid4()))
    if arguments.no_follow:
        say(arn)
        return 0
    return follow_execution(calls, arn, arguments)
