"""``versions``: a pipeline's versions and aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.shared_options import (
    CHANGED,
    PIPELINE_HELP,
    add_command,
    add_connection_options,
    add_exit_code_option,
    add_json_option,
    explain_exit_codes,
    open_calls,
)

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.cli.shared_options import Commands
    from airflow_sm_pipelines.client.calls import PipelineVersion


def add(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(commands, "versions", "list a pipeline's versions and aliases, or compare two of them")
    parser.add_argument("pipeline", metavar="PIPELINE", help=PIPELINE_HELP)
    parser.add_argument("--diff", nargs=2, metavar=("OLD", "NEW"), help="say what changed; ids or aliases")
    add_exit_code_option(parser)
    add_json_option(parser, "the versions")
    add_connection_options(parser)
    explain_exit_codes(parser, changes=True)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """List a pipeline's versions, or say what changed between two of them."""
    from airflow_sm_pipelines.cli.terminal import complain, say, say_json
    from airflow_sm_pipelines.client.old_clients import ALIASES_VERSION

    calls = open_calls(arguments, arn=arguments.pipeline)
    if arguments.diff:
        from airflow_sm_pipelines.definition import render_changes
        from airflow_sm_pipelines.deployment.lifecycle import diff_versions

        old, new = arguments.diff
        changes = diff_versions(calls, arguments.pipeline, old=old, new=new)
        say(render_changes(changes) or "No change.")
        return CHANGED if changes and arguments.exit_code else 0
    versions = calls.list_versions(arguments.pipeline)
    knows_aliases = calls.knows_aliases()
    if not knows_aliases:
        complain(
            f"sm-pipelines: aliases are not shown, as the installed boto3 does not know them: {ALIASES_VERSION} does"
        )
    if arguments.as_json:
        say_json([_to_json(version, knows_aliases=knows_aliases) for version in versions])
        return 0
    for version in versions:
        say(_render(version))
    return 0


def _render(version: PipelineVersion) -> str:
    created = version.created.strftime("%Y-%m-%d %H:%M") if version.created else ""
    words = (
        f"{version.id:>5}",
        f"{created:<16}",
        ", ".join(version.aliases),
        version.display_name or "",
        version.description or "",
    )
    return "  ".join(words).rstrip()


def _to_json(version: PipelineVersion, *, knows_aliases: bool) -> dict[str, object]:
    return {
        "pipeline_version_id": version.id,
        "aliases": list(version.aliases) if knows_aliases else None,
        "display_name": version.display_name,
        "description": version.description,
        "created": version.created.isoformat() if version.created else None,
        "last_execution_arn": version.last_execution_arn,
    }
