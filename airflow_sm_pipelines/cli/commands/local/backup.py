"""``local backup``: the state of a local endpoint as one file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_state_option, explain_exit_codes

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "backup",
        help="write the state of a stopped endpoint into a file",
        description="Write everything that a local endpoint keeps (buckets, pipelines, executions, logs, roles, "
        "queues) into one file. Stop the endpoint first. After 'local restore', jobs that were running start over.",
        epilog="Example: sm-pipelines local backup before-upgrade.tar.gz",
    )
    add_state_option(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to write, such as state.tar.gz")
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the file.

    :raises LocalEndpointError: if the endpoint runs, or its state or the file cannot be used.
    """
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment
    from airflow_sm_pipelines.cli.local_session import find_state_dir
    from airflow_sm_pipelines.cli.terminal import say

    enter_local_environment(arguments)
    from airflow_sm_pipelines.server.state_copies import write_copy

    state_dir = find_state_dir(arguments)
    count = write_copy(state_dir, arguments.file)
    say(f"{arguments.file}: {count} files of {state_dir}")
    return 0
