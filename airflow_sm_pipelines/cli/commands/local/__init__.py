"""``local``: pipelines on this machine. A module for each subcommand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.commands.local import (
    backup,
    env,
    exec,
    open,
    profile,
    rehearse,
    replay,
    restore,
    run,
    serve,
    shell,
)
from airflow_sm_pipelines.cli.shared_options import add_subcommands

if TYPE_CHECKING:
    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command with its subcommands."""
    parser = commands.add_parser(
        "local",
        help="run pipelines on this machine",
        description="SageMaker on loopback: an endpoint that runs pipelines with real processes on this machine. "
        "Nothing reaches AWS.",
    )
    subcommands = add_subcommands(parser, title="commands", metavar="COMMAND")
    for command in (exec, run, rehearse, replay, serve, shell, env, open, profile, backup, restore):
        command.add(subcommands)
