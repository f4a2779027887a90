"""``diff``: what changed between two definitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    CHANGED,
    SOURCE_HELP,
    add_exit_code_option,
    add_json_option,
    add_script_options,
    add_variable_option,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.definition import JsonValue

_COLOURS = {"+": "green", "-": "red", "~": "yellow"}


def add(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "diff",
        help="say what changed between two definitions",
        description="Compare two definitions by what they mean: parameters, steps and their arguments by name. "
        "Key order, white space and other spellings of the same are no change, nor is what is unknown in one "
        "and may be what the other has.",
        epilog="Exit codes: 0 compared; 2 a definition could not be read; with --exit-code, 3 there are changes.",
    )
    parser.add_argument("old", metavar="OLD", help=SOURCE_HELP)
    parser.add_argument("new", metavar="NEW", help="the same")
    add_exit_code_option(parser)
    add_json_option(parser, "the changes")
    add_variable_option(parser)
    add_script_options(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Say what changed from one definition to another."""
    from airflow_sm_pipelines.cli.definition_files import parse_alike, refuse_unused_variables
    from airflow_sm_pipelines.cli.sources import read_source
    from airflow_sm_pipelines.cli.terminal import paint, say_json, say_painted
    from airflow_sm_pipelines.definition import diff_definitions, render_changes

    old, new = (read_source(name, arguments) for name in (arguments.old, arguments.new))
    refuse_unused_variables(arguments)
    changes = diff_definitions(*parse_alike(old, new))
    if arguments.as_json:
        document: list[JsonValue] = [
            {"kind": change.kind, "path": change.path, "before": change.before, "after": change.after}
            for change in changes
        ]
        say_json(document)
    else:
        for line in (render_changes(changes) or "No change.").splitlines():
            say_painted(paint(line, _COLOURS.get(line.lstrip()[:1], "")))
    return CHANGED if changes and arguments.exit_code else 0
