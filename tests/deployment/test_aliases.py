"""Aliases: which move, how a move is undone, promotion and rollback on the real local endpoint."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

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
    assert promoted_aliases(calls, gate) == {"prod": 1}
