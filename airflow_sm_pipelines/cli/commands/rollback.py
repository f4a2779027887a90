"""``rollback``: an alias back to the version that had it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    PIPELINE_HELP,
    add_command,
    add_connection_options,
    add_json_option,
    explain_exit_codes,
    open_calls,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "rollback", "point an alias back to where it was before its promotion")
    parser.add_argument("pipeline", metavar="PIPELINE", help=PIPELINE_HELP)
    parser.add_argument("alias", metavar="ALIAS", help="the alias to move")
    parser.add_argument("--to", metavar="VERSION", help="a version id or alias; ALIAS-previous by default")
    add_json_option(parser, "where the alias points")
    add_connection_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Move an alias back."""
    from airflow_sm_pipelines.cli.terminal import open_log, say, say_json
    from airflow_sm_pipelines.deployment.aliases import roll_back

    promotion = roll_back(
        open_calls(arguments, arn=arguments.pipeline),
        arguments.pipeline,
        alias=arguments.alias,
        version=arguments.to,
        log=open_log(),
    )
    if arguments.as_json:
        say_json(promotion.to_json())
    else:
        say(promotion.render())
    return 0
