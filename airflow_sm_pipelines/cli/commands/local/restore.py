"""``local restore``: a state directory from the file of ``local backup``."""

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
        "restore",
        help="make a state directory from a file of 'local backup'",
        description="Make a new state directory from a file of 'local backup'. Executions that had not ended go on at "
        "the endpoint's start, and run the code that the file holds: restore only what you trust.",
        epilog="Example: sm-pipelines local restore before-upgrade.tar.gz --state-dir /tmp/yesterday",
    )
    add_state_option(parser)
    parser.add_argument("file", type=Path, metavar="FILE", help="a file of 'local backup'")
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the directory.

    :raises LocalEndpointError: if the directory has been used, or the file is no whole copy.
    """
    from airflow_sm_pipelines.cli.local_environment import enter_local_environment
    from airflow_sm_pipelines.cli.local_session import find_state_dir
    from airflow_sm_pipelines.cli.terminal import say

    enter_local_environment(arguments)
    from airflow_sm_pipelines.server.state_copies import restore_copy

    state_dir = find_state_dir(arguments)
    count = restore_copy(arguments.file, state_dir)
    say(f"{state_dir}: {count} files of {arguments.file}")
    return 0
