"""The commands on deployed versions: ``versions``, ``promote``, ``rollback``, ``prune``, ``delete``."""

from __future__ import annotations

import json
import logging
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from airflow_sm_pipelines.cli.service import open_calls

if TYPE_CHECKING:
    import argparse

    from airflow_sm_pipelines.client.calls import PipelineVersion
    from airflow_sm_pipelines.deployment.lifecycle import Promotion

NO = 1
"""The exit code of a promotion that was refused, or of a delete that was not confirmed."""


def run_versions(arguments: argparse.Namespace) -> int:
    """List a pipeline's versions, or say what changed between two of them."""
    from airflow_sm_pipelines.definition import render_changes
    from airflow_sm_pipelines.deployment.lifecycle import diff_versions

    calls = open_calls(arguments)
    if arguments.diff:
        changes = diff_versions(calls, arguments.pipeline, old=arguments.diff[0], new=arguments.diff[1])
        print(render_changes(changes) or "No change.")
        return 0
    versions = calls.list_versions(arguments.pipeline)
    if arguments.as_json:
        print(json.dumps([_to_json(one) for one in versions], indent=2))
        return 0
    for one in versions:
        created = one.created.strftime("%Y-%m-%d %H:%M") if one.created else ""
        words = (
            f"{one.id:>5}",
            f"{created:<16}",
            ", ".join(one.aliases),
            one.display_name or "",
            one.description or "",
        )
        print("  ".join(words).rstrip())
    return 0


def run_promote(arguments: argparse.Namespace) -> int:
    """Move an alias to a version that has proven itself."""
    from airflow_sm_pipelines.deployment.lifecycle import promote
    from airflow_sm_pipelines.exceptions import PromotionError

    try:
        found = promote(
            open_calls(arguments),
            arguments.pipeline,
            version=arguments.version,
            alias=arguments.alias,
            is_success_required=not arguments.unproven,
            log=_logger(),
        )
    except PromotionError as error:
        print(f"sm-pipelines: {error}", file=sys.stderr)
        return NO
    return _say(found, arguments)


def run_rollback(arguments: argparse.Namespace) -> int:
    """Move an alias back."""
    from airflow_sm_pipelines.deployment.lifecycle import roll_back

    found = roll_back(
        open_calls(arguments), arguments.pipeline, alias=arguments.alias, version=arguments.to, log=_logger()
    )
    return _say(found, arguments)


def run_prune(arguments: argparse.Namespace) -> int:
    """Delete old timestamped pipelines; without --yes, only say which."""
    from airflow_sm_pipelines.deployment.lifecycle import prune

    names = prune(
        open_calls(arguments),
        arguments.prefix,
        keep=arguments.keep,
        older_than=None if arguments.older_than is None else timedelta(days=arguments.older_than),
        is_dry_run=not arguments.yes,
        log=lambda line: print(line, file=sys.stderr),
    )
    print("\n".join(names))
    if names and not arguments.yes:
        print("Nothing was deleted: --yes deletes them.", file=sys.stderr)
    return 0


def run_delete(arguments: argparse.Namespace) -> int:
    """Delete a pipeline with all its versions."""
    from airflow_sm_pipelines.deployment.lifecycle import delete

    if not arguments.yes:
        print(f"Nothing was deleted: --yes deletes '{arguments.pipeline}' with all its versions.", file=sys.stderr)
        return NO
    print("deleted" if delete(open_calls(arguments), arguments.pipeline) else "there was none")
    return 0


def _say(found: Promotion, arguments: argparse.Namespace) -> int:
    if arguments.as_json:
        print(json.dumps(found.to_json(), indent=2))
    else:
        before = "none" if found.previous_version_id is None else found.previous_version_id
        change = f"was {before}" if found.is_moved else "as before"
        print(f"{found.pipeline_name}: {found.alias} is version {found.version_id} ({change})")
    return 0


def _to_json(version: PipelineVersion) -> dict[str, object]:
    return {
        "pipeline_version_id": version.id,
        "aliases": list(version.aliases),
        "display_name": version.display_name,
        "description": version.description,
        "created": version.created.isoformat() if version.created else None,
        "last_execution_arn": version.last_execution_arn,
    }


def _logger() -> logging.Logger:
    log = logging.getLogger("sm-pipelines")
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    return log
