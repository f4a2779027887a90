"""The life of deployed versions: promote, roll back, prune, delete; the same for operators and ``sm-pipelines``.

Needs no Airflow: it acts on :class:`~airflow_sm_pipelines.client.calls.SageMakerCalls`. The API keeps no history of an
alias, so a promotion leaves ``<alias>-previous`` on the version that had it: that is what a rollback goes back to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.request_tokens import make_token
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.deployment.changes import move_aliases, plan_alias_moves
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineConflictError,
    PipelineNotFoundError,
    PromotionError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from airflow_sm_pipelines.client.calls import PipelineSummary, PipelineVersion, SageMakerCalls
    from airflow_sm_pipelines.definition.diff import Change

PREVIOUS = "-previous"
_STAMP = re.compile(r"^\d{4}-?\d{2}-?\d{2}[T-]?\d{2}-?\d{2}(-?\d{2})?Z?$")


@dataclass(frozen=True, slots=True)
class Promotion:
    """Where an alias points now.

    :param previous_version_id: where it pointed before; None if it did not exist.
    :param is_moved: False where it pointed there already.
    """

    pipeline_name: str
    alias: str
    version_id: int
    previous_version_id: int | None
    is_moved: bool

    def to_json(self) -> dict[str, Any]:
        """The promotion as JSON, for XCom and the command."""
        return {
            "pipeline_name": self.pipeline_name,
            "alias": self.alias,
            "pipeline_version_id": self.version_id,
            "previous_version_id": self.previous_version_id,
            "is_moved": self.is_moved,
        }


def promote(
    calls: SageMakerCalls, name: str, *, version: str | int, alias: str, is_success_required: bool = True, log: Any
) -> Promotion:
    """Point an alias to a version, and ``<alias>-previous`` to the one that had it.

    :param version: a version id, or another alias, such as the one the version was tested under.
    :param is_success_required: refuse a version whose last execution did not succeed, or that was never run.
    :param log: a logger.
    :raises PromotionError: if the version's last execution does not allow it.
    :raises PipelineNotFoundError: if there is no such pipeline or version.
    """
    versions = calls.list_versions(name)
    wanted = find_version(name, versions, version)
    if is_success_required:
        _require_success(calls, name, wanted)
    return _point(calls, name, versions, wanted, alias, log=log)


def roll_back(calls: SageMakerCalls, name: str, *, alias: str, version: str | int | None = None, log: Any) -> Promotion:
    """Point an alias back to the version that had it before, or to another one; nothing is asked of executions.

    :param version: where to; ``<alias>-previous`` where not given, which then changes places with the alias.
    :raises PromotionError: if it is not known where the alias pointed before.
    """
    versions = calls.list_versions(name)
    if version is None:
        wanted = next((one for one in versions if f"{alias}{PREVIOUS}" in one.aliases), None)
        if wanted is None:
            raise PromotionError(
                f"Pipeline '{name}' has no alias '{alias}{PREVIOUS}', so it is not known where '{alias}' pointed "
                f"before. Name a version; there are {_render_ids(versions)}."
            )
    else:
        wanted = find_version(name, versions, version)
    return _point(calls, name, versions, wanted, alias, log=log)


def find_version(name: str, versions: Sequence[PipelineVersion], version: str | int | None) -> PipelineVersion:
    """A version by its id or an alias; the latest for None.

    :param versions: newest first.
    :raises PipelineNotFoundError: naming the versions and aliases there are.
    """
    text = "" if version is None else str(version).strip()
    if text in ("", "None") and versions:
        return versions[0]
    for one in versions:
        if str(one.id) == text or text in one.aliases:
            return one
    aliases = ", ".join(alias for one in versions for alias in one.aliases) or "none"
    raise PipelineNotFoundError(
        f"Pipeline '{name}' has no version or alias '{text}'; versions {_render_ids(versions)}, aliases {aliases}.",
        code="ResourceNotFound",
    )


def diff_versions(
    calls: SageMakerCalls, name: str, *, old: str | int | None, new: str | int | None
) -> tuple[Change, ...]:
    """What changed in the definition from one version to another; each an id, an alias, or None for the latest."""
    from airflow_sm_pipelines.definition import diff_definitions, parse_definition

    texts = [calls.describe_pipeline(name, version=version).definition_text for version in (old, new)]
    before, after = (
        parse_definition(text, name=f"{name} version {version or 'latest'}")
        for text, version in zip(texts, (old, new), strict=True)
    )
    return diff_definitions(before, after)


def plan_prune(
    pipelines: Iterable[PipelineSummary], *, prefix: str, keep: int, older_than: timedelta | None, now: datetime
) -> list[PipelineSummary]:
    """The pipelines to delete of those named ``<prefix>-<timestamp>``: all but the newest, if they are old enough.

    Age counts from the last execution, or from the creation of one that never ran. Pure.

    :param prefix: the name without its timestamp (``20261123T041500``, ``2026-11-23-04-15-00``, ...).
    :param keep: how many of the newest to leave alone whatever their age.
    :param older_than: leave younger ones alone as well.
    """
    stamped = [one for one in pipelines if is_stamped(one.name, prefix)]
    stamped.sort(key=lambda one: one.name, reverse=True)
    found = []
    for one in stamped[max(keep, 0) :]:
        used = one.last_execution or one.created
        if older_than is None or (used is not None and now - used > older_than):
            found.append(one)
    return found


def is_stamped(name: str, prefix: str) -> bool:
    """Whether a pipeline's name is the prefix and a timestamp."""
    return name.startswith(f"{prefix}-") and _STAMP.match(name[len(prefix) + 1 :]) is not None


def prune(
    calls: SageMakerCalls,
    prefix: str,
    *,
    keep: int,
    older_than: timedelta | None,
    is_dry_run: bool,
    log: Callable[[str], None],
) -> list[str]:
    """Delete old pipelines named ``<prefix>-<timestamp>``; one with a running execution is left alone.

    :return: the names, deleted or, in a dry run, to be deleted.
    """
    chosen = plan_prune(
        calls.list_pipelines(prefix=prefix),
        prefix=prefix,
        keep=keep,
        older_than=older_than,
        now=datetime.now(timezone.utc),
    )
    done = []
    for one in chosen:
        if next((run for run in calls.list_executions(one.name) if not run.is_terminal), None) is not None:
            log(f"Pipeline '{one.name}' is running, so it stays.")
            continue
        if not is_dry_run:
            delete(calls, one.name)
        log(f"Pipeline '{one.name}' {'would be' if is_dry_run else 'was'} deleted.")
        done.append(one.name)
    return done


def delete(calls: SageMakerCalls, name: str) -> bool:
    """Delete a pipeline with all its versions; False if there was none."""
    try:
        arn = calls.describe_pipeline(name).arn
        calls.delete_pipeline(name, token=make_token("delete", arn, datetime.now(timezone.utc).isoformat()))
    except PipelineNotFoundError:
        return False
    return True


def _require_success(calls: SageMakerCalls, name: str, version: PipelineVersion) -> None:
    what = f"Version {version.id} of pipeline '{name}' is not promoted"
    if version.last_execution_arn is None:
        raise PromotionError(f"{what}: it was never run. Run it, or allow it by require_success=False.")
    report = calls.describe_execution(version.last_execution_arn)
    if report.status != ExecutionStatus.SUCCEEDED:
        reason = f" ({report.failure_reason})" if report.failure_reason else ""
        raise PromotionError(
            f"{what}: its last execution {report.arn} is {report.status}{reason}. Run it again, or allow it by "
            "require_success=False."
        )


def _point(
    calls: SageMakerCalls,
    name: str,
    versions: Sequence[PipelineVersion],
    wanted: PipelineVersion,
    alias: str,
    *,
    log: Any,
) -> Promotion:
    holder = next((one for one in versions if alias in one.aliases), None)
    result = Promotion(name, alias, wanted.id, None if holder is None else holder.id, holder is not wanted)
    if not result.is_moved:
        log.info("Alias '%s' of pipeline '%s' points to version %s already.", alias, name, wanted.id)
        return result
    arn = calls.describe_pipeline(name).arn
    _check_is_unmoved(calls, name, alias, holder)
    move_aliases(
        calls,
        pipeline_arn=arn,
        version_id=wanted.id,
        moves=plan_alias_moves([alias], version_id=wanted.id, versions=versions),
        log=log,
    )
    if holder is not None:
        previous = f"{alias}{PREVIOUS}"
        try:
            moves = plan_alias_moves([previous], version_id=holder.id, versions=versions)
            move_aliases(calls, pipeline_arn=arn, version_id=holder.id, moves=moves, log=log)
        except PipelineApiError as error:
            log.warning(
                "'%s' has moved, but '%s' could not be noted, so a rollback must name its version: %s",
                alias,
                previous,
                error,
            )
    return result


def _check_is_unmoved(calls: SageMakerCalls, name: str, alias: str, holder: PipelineVersion | None) -> None:
    """Refuse to overrun somebody else who moved the alias since it was looked up."""
    now = next((one for one in calls.list_versions(name) if alias in one.aliases), None)
    if (now.id if now else None) != (holder.id if holder else None):
        raise PipelineConflictError(
            f"Somebody else moved alias '{alias}' of pipeline '{name}' at the same moment, to version "
            f"{now.id if now else 'none'}.",
            code="ConflictException",
        )


def _render_ids(versions: Sequence[PipelineVersion]) -> str:
    return ", ".join(str(one.id) for one in versions[:20]) or "none"
