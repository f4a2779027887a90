"""``list``: the pipelines of the account and region, or the executions of one pipeline."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    PIPELINE_HELP,
    add_command,
    add_connection_options,
    add_json_option,
    explain_exit_codes,
    open_calls,
    parse_count,
)

if TYPE_CHECKING:
    import argparse
    from datetime import datetime

    from airflow_sm_pipelines.cli.shared_options import Commands


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "list", "list the pipelines, or the executions of one, newest first")
    parser.add_argument("pipeline", nargs="?", metavar="PIPELINE", help=f"{PIPELINE_HELP}, for its executions")
    parser.add_argument("--prefix", default="", metavar="TEXT", help="only pipelines whose names begin with it")
    parser.add_argument("-n", "--limit", type=parse_count, default=20, metavar="N", help="at most so many (20)")
    add_json_option(parser, "the list")
    add_connection_options(parser)
    explain_exit_codes(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List pipelines, or one pipeline's executions."""
    from airflow_sm_pipelines.cli.terminal import complain, say, say_json
    from airflow_sm_pipelines.exceptions import ArgumentError

    if arguments.pipeline and arguments.prefix:
        raise ArgumentError("--prefix chooses among pipelines: leave it out, or leave PIPELINE out.")
    calls = open_calls(arguments, arn=arguments.pipeline)
    if arguments.pipeline:
        reports = list(islice(calls.list_executions(arguments.pipeline), max(0, arguments.limit)))
        rows: list[dict[str, str | None]] = [{"execution_arn": one.arn, "status": str(one.status)} for one in reports]
        lines = [f"{one['status']:<22}  {one['execution_arn']}" for one in rows]
        nothing = f"Pipeline '{arguments.pipeline}' has no executions."
    else:
        pipelines = calls.list_pipelines(prefix=arguments.prefix)[: max(0, arguments.limit)]
        rows = [
            {
                "pipeline_name": one.name,
                "pipeline_arn": one.arn,
                "created": _to_text(one.created, "T"),
                "last_execution": _to_text(one.last_execution, "T"),
            }
            for one in pipelines
        ]
        width = max((len(one.name) for one in pipelines), default=0)
        lines = [f"{one.name:<{width}}  {_describe_age(one.last_execution)}" for one in pipelines]
        nothing = f"No pipeline's name begins with '{arguments.prefix}'." if arguments.prefix else "There are none."
    if arguments.as_json:
        say_json(rows)
    elif lines:
        say(*lines)
    else:
        complain(nothing)
    return 0


def _describe_age(last: datetime | None) -> str:
    return "never run" if last is None else f"last run {_to_text(last, ' ')}"


def _to_text(moment: datetime | None, separator: str) -> str | None:
    return None if moment is None else moment.isoformat(sep=separator, timespec="seconds")
