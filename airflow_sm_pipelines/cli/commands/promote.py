"""``promote``: an alias to a version that has proven itself."""

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
from airflow_sm_pipelines.exceptions import PromotionError

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands

REFUSED = 1
"""The exit code where the version's last execution does not allow the promotion."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "promote", "point an alias to a version whose last execution succeeded")
    parser.add_argument("pipeline", metavar="PIPELINE", help=PIPELINE_HELP)
    parser.add_argument("version", metavar="VERSION", help="a version id, or the alias it was tested under")
    parser.add_argument("alias", metavar="ALIAS", help="the alias to move; ALIAS-previous keeps where it was")
    parser.add_argument(
        "--unproven", action="store_true", help="promote it even if its last execution failed, or it was never run"
    )
    add_json_option(parser, "where the alias points")
    add_connection_options(parser)
    explain_exit_codes(parser, no="the version has not proven itself")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Move an alias to a version that has proven itself."""
    from airflow_sm_pipelines.cli.terminal import complain, open_log, say, say_json
    from airflow_sm_pipelines.deployment.aliases import promote

    try:
        promotion = promote(
            open_calls(arguments, arn=arguments.pipeline),
            arguments.pipeline,
            version=arguments.version,
            alias=arguments.alias,
            is_success_required=not arguments.unproven,
            log=open_log(),
        )
    except PromotionError as error:
        complain(f"sm-pipelines: {error}".replace("require_success=False", "--unproven"))
        return REFUSED
    if arguments.as_json:
        say_json(promotion.to_json())
    else:
        say(promotion.render())
    return 0
