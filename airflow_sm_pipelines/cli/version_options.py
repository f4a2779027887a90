"""The arguments of the commands on deployed versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_PIPELINE_HELP = "the pipeline's name or ARN"


def add_version_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``versions``, ``promote``, ``rollback``, ``prune`` and ``delete``."""
    versions = _add(commands, "versions", "list a pipeline's versions and aliases, or compare two of them")
    versions.add_argument("pipeline", metavar="PIPELINE", help=_PIPELINE_HELP)
    versions.add_argument("--diff", nargs=2, metavar=("OLD", "NEW"), help="say what changed; ids or aliases")
    versions.add_argument("--json", action="store_true", dest="as_json", help="write JSON")
    versions.set_defaults(run=_run_versions)

    promote = _add(commands, "promote", "point an alias to a version whose last execution succeeded")
    promote.add_argument("pipeline", metavar="PIPELINE", help=_PIPELINE_HELP)
    promote.add_argument("version", metavar="VERSION", help="a version id, or the alias it was tested under")
    promote.add_argument("alias", metavar="ALIAS", help="the alias to move; ALIAS-previous keeps where it was")
    promote.add_argument("--unproven", action="store_true", help="whatever came of the version's last execution")
    promote.add_argument("--json", action="store_true", dest="as_json", help="write JSON")
    promote.set_defaults(run=_run_promote)

    rollback = _add(commands, "rollback", "point an alias back to where it was before its promotion")
    rollback.add_argument("pipeline", metavar="PIPELINE", help=_PIPELINE_HELP)
    rollback.add_argument("alias", metavar="ALIAS", help="the alias to move")
    rollback.add_argument("--to", metavar="VERSION", help="a version id or alias; ALIAS-previous by default")
    rollback.add_argument("--json", action="store_true", dest="as_json", help="write JSON")
    rollback.set_defaults(run=_run_rollback)

    prune = _add(commands, "prune", "delete old pipelines that are named PREFIX-<timestamp>")
    prune.add_argument("prefix", metavar="PREFIX", help="the name without its timestamp")
    prune.add_argument("--keep", type=int, default=10, metavar="N", help="the newest to leave alone (10)")
    prune.add_argument("--older-than", type=float, metavar="DAYS", help="only those not run for so long")
    prune.add_argument("--yes", action="store_true", help="delete; without it, only say which")
    prune.set_defaults(run=_run_prune)

    delete = _add(commands, "delete", "delete a pipeline with all its versions")
    delete.add_argument("pipeline", metavar="PIPELINE", help="the pipeline's name")
    delete.add_argument("--yes", action="store_true", help="really")
    delete.set_defaults(run=_run_delete)


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, summary: str
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    parser.add_argument("--profile", help="the AWS profile")
    parser.add_argument("--region", help="the region; AWS_REGION or the profile's by default")
    return parser


def _run_versions(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.versions import run_versions

    return run_versions(arguments)


def _run_promote(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.versions import run_promote

    return run_promote(arguments)


def _run_rollback(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.versions import run_rollback

    return run_rollback(arguments)


def _run_prune(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.versions import run_prune

    return run_prune(arguments)


def _run_delete(arguments: argparse.Namespace) -> int:
    from airflow_sm_pipelines.cli.versions import run_delete

    return run_delete(arguments)
