"""Aliases: which move, how a move is undone, promotion and rollback on the real local endpoint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
from airflow_sm_pipelines.client.calls import PipelineVersion
from airflow_sm_pipelines.deployment import aliases as alias_moves
from airflow_sm_pipelines.deployment.aliases import AliasMove, move_aliases, plan_alias_moves, promote, roll_back
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineConflictError,
    PipelineNotFoundError,
    PromotionError,
)
from tests.airflow_fakes import FakeSageMaker, Fault, Refusal
from tests.airflow_objects import FakeTaskInstance, FakeTaskStateStore, make_context
from tests.deployment.gate_pipeline import definition

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_sm_pipelines.client.session_calls import SessionCalls
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

LOG: Any = logging.getLogger("test")


ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p"


def test_only_aliases_that_point_elsewhere_are_moved() -> None:
    versions = [PipelineVersion(3, ("staging",)), PipelineVersion(2, ("prod", "blue"))]
    moves = plan_alias_moves(["staging", "prod", "new", "prod"], version_id=3, versions=versions)
    assert moves == (AliasMove("prod", 2), AliasMove("new", None))


@pytest.fixture(autouse=True)
def short_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up soon where an alias cannot be moved."""
    monkeypatch.setattr(alias_moves, "MOVE_TIMEOUT_SECONDS", 0.5)
    monkeypatch.setattr(alias_moves, "MOVE_PAUSE_SECONDS", 0.01)


def aliases(hook: SageMakerPipelinesHook) -> dict[int, tuple[str, ...]]:
    return {version.id: version.aliases for version in hook.list_versions("p")}


def test_an_alias_is_taken_from_its_holder_and_given_to_the_version(hook: SageMakerPipelinesHook) -> None:
    moved = move_aliases(hook, pipeline_arn=ARN, version_id=3, aliases=["prod", "staging", "new"], log=LOG)
    assert moved == {"prod": 1, "staging": 2, "new": None}
    assert aliases(hook) == {3: ("prod", "staging", "new"), 2: (), 1: ()}


def test_aliases_are_given_back_when_the_move_fails_halfway(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    original = fake.op_UpdatePipelineVersion

    def refuse_version_3(request: dict[str, Any]) -> dict[str, Any]:
        if request["PipelineVersionId"] == 3:
            raise Refusal("ConflictException", "not now")
        return original(request)

    fake.op_UpdatePipelineVersion = refuse_version_3  # type: ignore[method-assign]
    with pytest.raises(PipelineApiError):
        move_aliases(hook, pipeline_arn=ARN, version_id=3, aliases=["prod", "staging"], log=LOG)
    assert aliases(hook) == {3: (), 2: ("staging",), 1: ("prod",)}


def test_aliases_stay_when_the_first_step_is_refused(fake: FakeSageMaker, hook: SageMakerPipelinesHook) -> None:
    fake.fail_next("UpdatePipelineVersion", Fault("AccessDeniedException"))
    with pytest.raises(PipelineApiError):
        move_aliases(hook, pipeline_arn=ARN, version_id=3, aliases=["prod"], log=LOG)
    assert aliases(hook) == {3: (), 2: ("staging",), 1: ("prod",)}


def promoted_aliases(calls: SessionCalls, name: str) -> dict[str, int]:
    return {alias: version.id for version in calls.list_versions(name) for alias in version.aliases}


def test_a_promotion_remembers_where_the_alias_was_and_a_rollback_goes_there(calls: SessionCalls, gate: str) -> None:
    assert promoted_aliases(calls, gate) == {"prod": 1}
    moved = promote(calls, gate, version=2, alias="prod", log=LOG)
    assert (moved.previous_version_id, moved.version_id, moved.is_moved) == (1, 2, True)
    assert promoted_aliases(calls, gate) == {"prod": 2, "prod-previous": 1}
    assert not promote(calls, gate, version="2", alias="prod", log=LOG).is_moved
    roll_back(calls, gate, alias="prod", log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 1, "prod-previous": 2}
    roll_back(calls, gate, alias="prod", log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 2, "prod-previous": 1}
    assert promote(calls, gate, version="prod", alias="live", log=LOG).version_id == 2


def test_a_version_that_has_not_proven_itself_is_not_promoted(calls: SessionCalls, gate: str, repository: Path) -> None:
    with pytest.raises(PromotionError, match=r"last execution .* is Failed"):
        promote(calls, gate, version=3, alias="prod", log=LOG)
    calls.update_pipeline(gate, PipelineDefinition=definition(repository, 0.7))
    with pytest.raises(PromotionError, match="never run"):
        promote(calls, gate, version=4, alias="prod", log=LOG)
    with pytest.raises(PipelineNotFoundError, match="versions 4, 3, 2, 1, aliases prod"):
        promote(calls, gate, version="prud", alias="live", log=LOG)
    with pytest.raises(PromotionError, match="no alias 'live-previous'"):
        roll_back(calls, gate, alias="live", log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 1}
    assert promote(calls, gate, version=4, alias="prod", is_success_required=False, log=LOG).is_moved


def test_a_promotion_that_breaks_off_is_undone(calls: SessionCalls, gate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    update = calls.update_version_aliases

    def refuse(arn: str, version: int, *, add: Any = (), remove: Any = ()) -> None:
        if version == 2:
            raise PipelineConflictError("refused by the test", code="ConflictException")
        update(arn, version, add=add, remove=remove)

    monkeypatch.setattr(calls, "update_version_aliases", refuse)
    with pytest.raises(PipelineConflictError, match="refused by the test"):
        promote(calls, gate, version=2, alias="prod", log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 1}, "what was noted is taken back"


class Killed(BaseException):
    """The caller dies here."""


def die_after(calls: SessionCalls, monkeypatch: pytest.MonkeyPatch, moves: int) -> None:
    """Die after so many calls that change an alias."""
    update, left = calls.update_version_aliases, [moves]

    def update_or_die(*arguments: Any, **named: Any) -> None:
        if not left[0]:
            monkeypatch.setattr(calls, "update_version_aliases", update)
            raise Killed
        left[0] -= 1
        update(*arguments, **named)

    monkeypatch.setattr(calls, "update_version_aliases", update_or_die)


@pytest.mark.parametrize("moves", range(3))
def test_a_promotion_that_was_killed_is_done_by_the_next_one(
    calls: SessionCalls, gate: str, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    die_after(calls, monkeypatch, moves)
    with pytest.raises(Killed):
        promote(calls, gate, version=2, alias="prod", log=LOG)
    promote(calls, gate, version=2, alias="prod", log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 2, "prod-previous": 1}


class Attempts(FakeTaskStateStore):
    """The store of one task, for attempts that follow each other."""

    def memory(self, *, max_tries: int = 3) -> TaskStateStore:
        return TaskStateStore(make_context(FakeTaskInstance(max_tries=max_tries), store=self))


@pytest.mark.parametrize("moves", range(5))
def test_a_retry_finishes_a_rollback_and_does_not_undo_it(
    calls: SessionCalls, gate: str, monkeypatch: pytest.MonkeyPatch, moves: int
) -> None:
    promote(calls, gate, version=2, alias="prod", log=LOG)
    task = Attempts()
    if moves < 4:
        die_after(calls, monkeypatch, moves)
        with pytest.raises(Killed):
            roll_back(calls, gate, alias="prod", memory=task.memory(), log=LOG)
    else:
        roll_back(calls, gate, alias="prod", memory=task.memory(), log=LOG)
    found = roll_back(calls, gate, alias="prod", memory=task.memory(), log=LOG)
    assert (found.version_id, found.previous_version_id, found.is_moved) == (1, 2, True)
    assert promoted_aliases(calls, gate) == {"prod": 1, "prod-previous": 2}
    roll_back(calls, gate, alias="prod", memory=task.memory(max_tries=7), log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 2, "prod-previous": 1}, "a clear rolls back anew"


def test_a_retry_leaves_an_alias_that_somebody_has_moved(calls: SessionCalls, gate: str) -> None:
    promote(calls, gate, version=2, alias="prod", log=LOG)
    task = Attempts()
    roll_back(calls, gate, alias="prod", memory=task.memory(), log=LOG)
    promote(calls, gate, version=3, alias="prod", is_success_required=False, log=LOG)
    with pytest.raises(PromotionError, match="somebody has moved it"):
        roll_back(calls, gate, alias="prod", memory=task.memory(), log=LOG)
    assert promoted_aliases(calls, gate)["prod"] == 3


def test_a_removal_that_botocore_has_sent_twice_does_not_forget_where_the_alias_was(
    calls: SessionCalls, gate: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    promote(calls, gate, version=2, alias="prod", log=LOG)
    update, is_first = calls.update_version_aliases, [True]

    def refuse_the_second(*arguments: Any, **named: Any) -> None:
        update(*arguments, **named)
        if is_first:
            is_first.clear()
            update(*arguments, **named)

    monkeypatch.setattr(alias_moves, "MOVE_TIMEOUT_SECONDS", 30.0)
    monkeypatch.setattr(calls, "update_version_aliases", refuse_the_second)
    roll_back(calls, gate, alias="prod", log=LOG)
    assert promoted_aliases(calls, gate) == {"prod": 1, "prod-previous": 2}
