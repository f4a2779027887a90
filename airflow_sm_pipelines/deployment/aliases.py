"""Aliases of versions: which have to move, how they are moved safely, promotion and rollback.

The API keeps no history of an alias. So a promotion leaves ``<alias>-previous`` on the version that had the alias, and
a rollback goes back to that version.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineConflictError,
    PipelineNotFoundError,
    PromotionError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_sm_pipelines.client.calls import PipelineVersion, SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger

PREVIOUS = "-previous"
"""What follows an alias in the name of the alias that keeps where it pointed before."""


@dataclass(frozen=True, slots=True)
class AliasMove:
    """An alias that has to point to another version.

    :param holder: the version it points to now; None if it does not exist.
    """

    alias: str
    holder: int | None


@dataclass(frozen=True, slots=True)
class Promotion:
    """Where an alias points after a promotion or a rollback.

    :param previous_version_id: where it pointed before; None if it did not exist.
    :param is_moved: False if it pointed there already.
    """

    pipeline_name: str
    alias: str
    version_id: int
    previous_version_id: int | None
    is_moved: bool

    def to_json(self) -> dict[str, Any]:
        """The promotion as JSON."""
        return {
            "pipeline_name": self.pipeline_name,
            "alias": self.alias,
            "pipeline_version_id": self.version_id,
            "previous_version_id": self.previous_version_id,
            "is_moved": self.is_moved,
        }

    def render(self) -> str:
        """The promotion as a line for people."""
        before = "none" if self.previous_version_id is None else self.previous_version_id
        change = f"was {before}" if self.is_moved else "as before"
        return f"{self.pipeline_name}: {self.alias} is version {self.version_id} ({change})"


def promote(
    calls: SageMakerCalls, name: str, *, version: str | int, alias: str, is_success_required: bool = True, log: Logger
) -> Promotion:
    """Point an alias to a version, and ``<alias>-previous`` to the one that had it.

    :param version: a version id, or another alias, such as the one that the version was tested under.
    :param is_success_required: refuse a version whose last execution did not succeed, or that was never run.
    :param log: told what moves.
    :raises PromotionError: if the version's last execution does not allow it.
    :raises PipelineNotFoundError: if there is no such pipeline or version.
    """
    versions = calls.list_versions(name)
    wanted = find_version(name, versions, version)
    if is_success_required:
        _require_success(calls, name, wanted)
    return _point(calls, name, versions, wanted, alias, log=log)


def roll_back(
    calls: SageMakerCalls, name: str, *, alias: str, version: str | int | None = None, log: Logger
) -> Promotion:
    """Point an alias back to the version that had it before, or to another one, whatever its executions did.

    :param version: where to; where not given, ``<alias>-previous``, which then changes places with the alias.
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


def plan_alias_moves(
    aliases: Iterable[str], *, version_id: int, versions: Sequence[PipelineVersion]
) -> tuple[AliasMove, ...]:
    """The moves of those aliases that do not point to the version yet."""
    holders = {alias: version.id for version in versions for alias in version.aliases}
    return tuple(
        AliasMove(alias, holders.get(alias)) for alias in dict.fromkeys(aliases) if holders.get(alias) != version_id
    )


def move_aliases(
    calls: SageMakerCalls, *, pipeline_arn: str, version_id: int, moves: Sequence[AliasMove], log: Logger
) -> None:
    """Point aliases to a version: remove them from where they are, then add them; put them back if adding fails.

    Between the two calls an alias points nowhere, because the API has no atomic move.

    :raises PipelineApiError: the first refusal, once everything is put back.
    """
    removed: list[AliasMove] = []
    try:
        for move in moves:
            if move.holder is not None:
                calls.update_version_aliases(pipeline_arn, move.holder, remove=[move.alias])
                removed.append(move)
        if moves:
            calls.update_version_aliases(pipeline_arn, version_id, add=[move.alias for move in moves])
    except PipelineApiError as error:
        for move in removed:
            try:
                calls.update_version_aliases(pipeline_arn, int(move.holder or 0), add=[move.alias])
            except PipelineApiError as undo_error:
                log.error(
                    "Alias '%s' was taken from version %s and could not be given back: %s",
                    move.alias,
                    move.holder,
                    undo_error,
                )
        if removed:
            log.error("Aliases were not moved to version %s: %s", version_id, error)
        raise
    for move in moves:
        log.info("Alias '%s': version %s -> version %s", move.alias, move.holder or "none", version_id)


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
    log: Logger,
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
    """Refuse the move if somebody else has moved the alias since it was looked up."""
    now = next((one for one in calls.list_versions(name) if alias in one.aliases), None)
    if (now.id if now else None) != (holder.id if holder else None):
        raise PipelineConflictError(
            f"Somebody else moved alias '{alias}' of pipeline '{name}' at the same moment, to version "
            f"{now.id if now else 'none'}.",
            code="ConflictException",
        )


def _render_ids(versions: Sequence[PipelineVersion]) -> str:
    return ", ".join(str(one.id) for one in versions[:20]) or "none"
