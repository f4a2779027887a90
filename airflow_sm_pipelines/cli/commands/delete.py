"""``delete``: a pipeline with all its versions, deleted."""

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

NOT_CONFIRMED = 1
"""The exit code without ``--yes``."""


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "delete", "delete a pipeline with all its versions")
    parser.add_argument("pipeline", metavar="PIPELINE", help=PIPELINE_HELP)
    parser.add_argument("--yes", action="store_true", help="really delete it")
    add_json_option(parser, "whether it was deleted")
    add_connection_options(parser)
    explain_exit_codes(parser, no="nothing was deleted, as --yes was not given")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Delete a pipeline with all its versions."""
    from airflow_sm_pipelines.cli.terminal import complain, say, say_json
    from airflow_sm_pipelines.definition.arns import parse_execution_arn
    from airflow_sm_pipelines.deployment.lifecycle import delete

    if not arguments.yes:
        complain(f"Nothing was deleted: --yes deletes '{arguments.pipeline}' with all its versions.")
        return NOT_CONFIRMED
    name = parse_execution_arn(arguments.pipeline)[0] or arguments.pipeline
    is_deleted = delete(open_calls(arguments, arn=arguments.pipeline), name)
    if arguments.as_json:
        say_json({"pipeline": name, "deleted": is_deleted})
        return 0
    say(f"Deleted pipeline '{name}'." if is_deleted else f"Nothing to delete: there is no pipeline '{name}'.")
    return 0
