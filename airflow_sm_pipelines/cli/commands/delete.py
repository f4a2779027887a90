"""``delete``: a pipeline with all its versions, deleted."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import add_command, add_connection_options, open_calls

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

NOT_CONFIRMED = 1
"""The exit code without ``--yes``."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "delete", "delete a pipeline with all its versions")
    parser.add_argument("pipeline", metavar="PIPELINE", help="the pipeline's name")
    parser.add_argument("--yes", action="store_true", help="really delete it")
    add_connection_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Delete a pipeline with all its versions."""
    from airflow_sm_pipelines.deployment.lifecycle import delete

    if not arguments.yes:
        print(f"Nothing was deleted: --yes deletes '{arguments.pipeline}' with all its versions.", file=sys.stderr)
        return NOT_CONFIRMED
    print("deleted" if delete(open_calls(arguments), arguments.pipeline) else "there was none")
    return 0
