"""Aliases of versions: which have to move, how they are moved safely, promotion and rollback.

The API keeps no history of an alias. So a promotion leaves ``<alias>-previous`` on the version that had the alias, and
a rollback goes back to that version.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.exceptions import (
    PipelineAccessError,
    PipelineApiError,
    PipelineConflictError,
    PipelineNotFoundError,
    PipelineRequestError,
    PipelineUnavailableError,
    PromotionError,
)
from airflow_sm_pipelines.printable_text import clean_log_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.client.calls import PipelineVersion, SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger

PREVIOUS = "-previous"
"""What follows an alias in the name of the alias that keeps where it pointed before."""

MOVE_TIMEOUT_SECONDS = 30.0
"""How long a move goes on looking again while others move the same alias."""

MOVE_PAUSE_SECONDS = 0.1
"""Seconds until the next look, times the number of refusals in a row, up to five."""

MAX_EQUAL_REFUSALS = 4
"""How often a request that the service calls wrong is made again, since the list behind it may have been old."""

MAX_ROLL_BACK_LOOKS = 20
"""How often a rollback looks again where to go, because somebody else has moved the alias."""


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


class RollBackMemory(Protocol):
    """Remembers from one attempt to the next which rollback has begun."""

    def load_roll_back(self) -> tuple[int, int] | None:
        """The versions that a rollback goes from and to, once it has begun."""

    def save_roll_back(self, source: int, target: int) -> None:
        """Remember that a rollback begins; returns once it is safe."""


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
    calls.require_aliases()
    versions = calls.list_versions(name)
    wanted = find_version(name, versions, version)
    if is_success_required:
        _require_success(calls, name, wanted)
    return _point(calls, name, versions, wanted, alias, log=log)


def roll_back(
    calls: SageMakerCalls,
    name: str,
    *,
    alias: str,
    version: str | int | None = None,
    memory: RollBackMemory | None = None,
    log: Logger,
) -> Promotion:
    """Point an alias back to the version that had it before, or to another one, whatever its executions did.

    :param version: where to; where not given, ``<alias>-previous``, which then changes places with the alias.
    :param memory: remembers a rollback by ``<alias>-previous`` before it begins, so that a second call finishes it
        where it broke off, instead of undoing it.
    :raises PromotionError: if it is not known where the alias pointed before.
    """
    calls.require_aliases()
    begun = None if memory is None else memory.load_roll_back()
    if version is None and begun is not None:
        return _finish_roll_back(calls, name, alias, begun, log=log)
    for last in (False,) * MAX_ROLL_BACK_LOOKS + (True,):
        try:
            return _roll_back(calls, name, alias=alias, version=version, memory=memory, log=log)
        except AliasMovedError as error:
            if last:
                raise
            log.info("Looking again where to roll back to: %s", error)
    raise AssertionError("unreachable")


def _roll_back(
    calls: SageMakerCalls,
    name: str,
    *,
    alias: str,
    version: str | int | None,
    memory: RollBackMemory | None,
    log: Logger,
) -> Promotion:
    versions = calls.list_versions(name)
    if version is not None:
        return _point(calls, name, versions, find_version(name, versions, version), alias, log=log)
    wanted = next((one for one in versions if f"{alias}{PREVIOUS}" in one.aliases), None)
    if wanted is None:
        raise PromotionError(
            f"Pipeline '{name}' has no alias '{alias}{PREVIOUS}', so it is not known where '{alias}' pointed "
            f"before. Name a version; there are {_render_ids(versions)}."
        )
    holder = _find_holder(versions, alias)
    if memory is not None and holder is not None:
        memory.save_roll_back(holder, wanted.id)
    return _swap(calls, name, versions, wanted, alias, holder=holder, log=log)


def _finish_roll_back(
    calls: SageMakerCalls, name: str, alias: str, begun: tuple[int, int], *, log: Logger
) -> Promotion:
    """Finish a rollback that an earlier attempt has begun.

    :param begun: the version that the alias pointed to, and the one that it is to point to.
    :raises PromotionError: if somebody else has moved the alias meanwhile.
    """
    source, target = begun
    versions = calls.list_versions(name)
    holder = _find_holder(versions, alias)
    if holder not in (source, target, None):
        raise PromotionError(
            f"Alias '{alias}' of pipeline '{name}' is version {holder}: somebody has moved it since an earlier attempt "
            f"began to roll it back from version {source} to {target}. It stays there; clear the task to begin anew."
        )
    log.info("An earlier attempt began to roll '%s' back from version %s to %s.", alias, source, target)
    return _swap(calls, name, versions, find_version(name, versions, target), alias, holder=source, log=log)


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
    calls: SageMakerCalls,
    *,
    pipeline_arn: str,
    version_id: int,
    aliases: Iterable[str],
    log: Logger,
    expected: Mapping[str, int | None] | None = None,
) -> dict[str, int | None]:
    """Point aliases to a version, whatever others do at the same moment, and read back where they are.

    The API has no atomic move: an alias is removed from where it is, then added. In between it points nowhere, and a
    list may be older than the last move. So a refusal that another look may settle is followed by another look. Once
    the service has taken an addition, the alias belongs to whoever moves it next: it is not fetched back.

    :param expected: where the aliases must be now, by alias; None where that does not matter.
    :return: by each alias that was moved, the version that it was taken from; None where it did not exist.
    :raises PipelineApiError: the refusal that no other look settles, once everything is put back.
    :raises AliasMovedError: if an alias is not where it was expected.
    """
    mover = _AliasMover(calls, pipeline_arn, version_id, tuple(dict.fromkeys(aliases)), log, expected)
    return mover.move()


class AliasMovedError(PipelineConflictError):
    """An alias that somebody else has moved since it was looked up."""


class _AliasMover:
    """One move of some aliases to one version.

    :ivar tried: the aliases whose removal was asked for. One that is refused may have been carried out all the same:
        botocore repeats a call whose answer is lost, and passes on the answer to the second one.
    :ivar taken: by alias, the version that it was taken from.
    :ivar given: the aliases whose addition the service has confirmed.
    """

    def __init__(
        self,
        calls: SageMakerCalls,
        pipeline_arn: str,
        version_id: int,
        aliases: tuple[str, ...],
        log: Logger,
        expected: Mapping[str, int | None] | None,
    ) -> None:
        self._calls = calls
        self._arn = pipeline_arn
        self._version_id = version_id
        self._aliases = aliases
        self._log = log
        self._expected = expected
        self.tried: set[str] = set()
        self.taken: dict[str, int] = {}
        self.given: dict[str, int | None] = {}

    def move(self) -> dict[str, int | None]:
        """Move them, and give where they were."""
        deadline = time.monotonic() + MOVE_TIMEOUT_SECONDS
        refused: tuple[AliasMove, ...] | None = None
        refusals = 0
        while True:
            try:
                moves = self._plan()
                if not moves:
                    missing = [alias for alias in self.given if alias not in self._holders]
                    if not missing:
                        return self._finish()
                    moves = self._await_return(missing, deadline)
                self._carry_out(moves)
                continue
            except PipelineApiError as error:
                refusals = refusals + 1 if moves == refused else 1
                refused = moves
                is_over = time.monotonic() >= deadline or not _may_settle(error, refusals)
                if is_over:
                    self._undo(error)
                    raise
                self._log.info("The aliases are looked at again: %s", error)
            time.sleep(MOVE_PAUSE_SECONDS * min(refusals, 5))

    def _plan(self) -> tuple[AliasMove, ...]:
        versions = self._calls.list_versions(self._arn)
        self._holders = {alias: version.id for version in versions for alias in version.aliases}
        wanted = [alias for alias in self._aliases if alias not in self.given]
        for alias in wanted:
            if self._expected is not None and alias not in self.taken:
                self._check_expected(alias)
        return plan_alias_moves(wanted, version_id=self._version_id, versions=versions)

    def _check_expected(self, alias: str) -> None:
        expected = (self._expected or {}).get(alias)
        if alias in self.tried and alias not in self._holders:
            return
        if self._holders.get(alias) not in (expected, self._version_id):
            raise AliasMovedError(
                f"Somebody else moved alias '{alias}' of {self._arn} at the same moment, to version "
                f"{self._holders.get(alias) or 'none'}.",
                code="ConflictException",
            )

    def _carry_out(self, moves: tuple[AliasMove, ...]) -> None:
        if not moves:
            return
        for move in moves:
            if move.holder is not None:
                self._take(move.alias, move.holder)
        self._calls.update_version_aliases(self._arn, self._version_id, add=[move.alias for move in moves])
        for move in moves:
            before = self.taken.get(move.alias, self.given.get(move.alias))
            self.given[move.alias] = before
            self._log.info("Alias '%s': version %s -> version %s", move.alias, before or "none", self._version_id)

    def _take(self, alias: str, holder: int) -> None:
        self.tried.add(alias)
        try:
            self._calls.update_version_aliases(self._arn, holder, remove=[alias])
        except PipelineUnavailableError:
            self.taken[alias] = holder  # the removal may have been carried out
            raise
        self.taken[alias] = holder

    def _await_return(self, missing: list[str], deadline: float) -> tuple[AliasMove, ...]:
        """Wait for aliases that somebody else is moving on; those that he has dropped are to be added again."""
        while time.monotonic() < deadline:
            time.sleep(MOVE_PAUSE_SECONDS)
            self._plan()
            if all(alias in self._holders for alias in missing):
                return ()
        return tuple(AliasMove(alias, None) for alias in missing if alias not in self._holders)

    def _finish(self) -> dict[str, int | None]:
        for alias in self.given:
            if self._holders[alias] != self._version_id:
                self._log.info("Somebody has moved alias '%s' on to version %s.", alias, self._holders[alias])
        return dict(self.given)

    def _undo(self, error: PipelineApiError) -> None:
        """Give aliases back that were taken and not given; an alias that somebody else has placed stays there."""
        for alias, holder in self.taken.items():
            if alias in self.given:
                continue
            try:
                self._calls.update_version_aliases(self._arn, holder, add=[alias])
            except PipelineConflictError:
                self._log.info("Alias '%s' is not given back: somebody else has placed it.", alias)
            except PipelineApiError as undo_error:
                self._log.error(
                    "Alias '%s' was taken from version %s and could not be given back: %s", alias, holder, undo_error
                )
        if self.taken:
            self._log.error("Aliases were not moved to version %s: %s", self._version_id, error)


def _may_settle(error: PipelineApiError, refusals: int) -> bool:
    """Whether another look may settle a refusal.

    :param refusals: how often the same moves were refused in a row. A request that stays wrong is wrong.
    """
    if isinstance(error, AliasMovedError):
        return False
    if isinstance(error, PipelineRequestError):
        return refusals < MAX_EQUAL_REFUSALS
    return isinstance(error, (PipelineConflictError, PipelineUnavailableError))


def _require_success(calls: SageMakerCalls, name: str, version: PipelineVersion) -> None:
    what = f"Version {version.id} of pipeline '{name}' is not promoted"
    if version.last_execution_arn is None:
        raise PromotionError(f"{what}: it was never run. Run it, or allow it by require_success=False.")
    report = calls.describe_execution(version.last_execution_arn)
    if report.status != ExecutionStatus.SUCCEEDED:
        reason = f" ({clean_log_text(report.failure_reason)})" if report.failure_reason else ""
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
    """Note where an alias is, then move it.

    In this order, whoever is killed in between loses nothing: the same call again does the rest.
    """
    holder = _find_holder(versions, alias)
    if holder == wanted.id:
        log.info("Alias '%s' of pipeline '%s' points to version %s already.", alias, name, wanted.id)
        return Promotion(name, alias, wanted.id, holder, is_moved=False)
    arn = calls.describe_pipeline(name, version=wanted.id).arn
    previous = f"{alias}{PREVIOUS}"
    noted = _find_holder(versions, previous)
    if holder is not None:
        move_aliases(calls, pipeline_arn=arn, version_id=holder, aliases=[previous], log=log)
    try:
        moved = move_aliases(calls, pipeline_arn=arn, version_id=wanted.id, aliases=[alias], log=log)
    except PipelineApiError:
        if holder is not None and noted != holder:
            _restore(calls, arn, previous, noted, holder, log=log)
        raise
    before = moved.get(alias) or holder
    if before not in (None, holder, wanted.id):
        _note(calls, arn, previous, before, log=log)  # somebody else has moved it meanwhile
    return Promotion(name, alias, wanted.id, before, is_moved=True)


def _swap(
    calls: SageMakerCalls,
    name: str,
    versions: Sequence[PipelineVersion],
    wanted: PipelineVersion,
    alias: str,
    *,
    holder: int | None,
    log: Logger,
) -> Promotion:
    """Move an alias to where ``<alias>-previous`` points, and that to where it was.

    The alias moves first: ``<alias>-previous`` alone knows where to.

    :param holder: where the alias was when the rollback began.
    :raises AliasMovedError: if somebody else moves the alias meanwhile.
    """
    if holder == wanted.id:
        log.info("Alias '%s' of pipeline '%s' points to version %s already.", alias, name, wanted.id)
        return Promotion(name, alias, wanted.id, holder, is_moved=False)
    arn = calls.describe_pipeline(name, version=wanted.id).arn
    expected = {alias: _find_holder(versions, alias)}
    moved = move_aliases(calls, pipeline_arn=arn, version_id=wanted.id, aliases=[alias], expected=expected, log=log)
    before = moved.get(alias) or holder
    if before is not None:
        _note(calls, arn, f"{alias}{PREVIOUS}", before, log=log)
    return Promotion(name, alias, wanted.id, before, is_moved=True)


def _note(calls: SageMakerCalls, arn: str, previous: str, version_id: int | None, *, log: Logger) -> None:
    """Point ``<alias>-previous`` to a version, after the alias itself has moved; again if it is denied for a moment."""
    if version_id is None:
        return
    for pause in (*calls.answer_pauses, None):
        try:
            move_aliases(calls, pipeline_arn=arn, version_id=version_id, aliases=[previous], log=log)
            return
        except PipelineApiError as error:
            if pause is None or not isinstance(error, PipelineAccessError):
                log.warning(
                    "The alias has moved, but '%s' could not be noted, so a rollback must name its version: %s",
                    previous,
                    error,
                )
                return
            time.sleep(pause)


def _restore(calls: SageMakerCalls, arn: str, previous: str, noted: int | None, holder: int, *, log: Logger) -> None:
    """Point ``<alias>-previous`` back to where it was, after the alias itself could not be moved."""
    if noted is not None:
        _note(calls, arn, previous, noted, log=log)
        return
    try:
        calls.update_version_aliases(arn, holder, remove=[previous])
    except PipelineApiError as error:
        log.warning("'%s' is left at version %s: %s", previous, holder, error)


def _find_holder(versions: Sequence[PipelineVersion], alias: str) -> int | None:
    return next((one.id for one in versions if alias in one.aliases), None)


def _render_ids(versions: Sequence[PipelineVersion]) -> str:
    return ", ".join(str(one.id) for one in versions[:20]) or "none"
