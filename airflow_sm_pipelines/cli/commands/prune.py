"""``prune``: old pipelines with a timestamp in their names, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    add_command,
    add_connection_options,
    add_json_option,
    explain_exit_codes,
    open_calls,
    parse_amount,
    parse_count,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "prune", "delete old pipelines that are named PREFIX-<timestamp>")
    parser.add_argument("prefix", metavar="PREFIX", help="the name without its timestamp")
    parser.add_argument("--keep", type=parse_count, default=10, metavar="N", help="the newest to leave alone (10)")
    parser.add_argument(
        "--older-than", type=parse_amount, metavar="DAYS", help="only those that have not run for so many days"
    )
    parser.add_argument("--yes", action="store_true", help="delete them; without it, only say which")
    add_json_option(parser, "the names")
    add_connection_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Delete old timestamped pipelines; without ``--yes``, only say which."""
    from datetime import timedelta

    from airflow_sm_pipelines.cli.terminal import complain, say, say_json
    from airflow_sm_pipelines.deployment.lifecycle import prune

    names = prune(
        open_calls(arguments),
        arguments.prefix,
        keep=arguments.keep,
        older_than=None if arguments.older_than is None else timedelta(days=arguments.older_than),
        is_dry_run=not arguments.yes,
        log=complain,
    )
    if arguments.as_json:
        say_json({"pipelines": names, "deleted": bool(arguments.yes)})
    else:
        say(*names)
    if names and not arguments.yes:
        complain("Nothing was deleted: --yes deletes them.")
    return 0
