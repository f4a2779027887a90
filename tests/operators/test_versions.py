"""The operators of versions and pipelines: what each hands on, in which form, and what it gives."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from airflow_sm_pipelines import (
    SageMakerDeletePipelineOperator,
    SageMakerPromotePipelineOperator,
    SageMakerPrunePipelinesOperator,
    SageMakerRollBackPipelineOperator,
)
from airflow_sm_pipelines.airflow_names import AirflowFailException
from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
from airflow_sm_pipelines.deployment import aliases, lifecycle
from airflow_sm_pipelines.deployment.aliases import Promotion
from tests.airflow_objects import FakeTaskStateStore, make_context

MOVED = Promotion(pipeline_name="p", alias="prod", version_id=4, previous_version_id=3, is_moved=True)
HOOK = object()
log = logging.getLogger("task")


class Calls:
    """The calls that an operator makes, in place of the function of this name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: Any, name: str, answer: Any) -> None:
        self.made: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        self.answer = answer
        monkeypatch.setattr(module, name, self)

    def __call__(self, *given: Any, **named: Any) -> Any:
        self.made.append((given, named))
        return self.answer


def run(operator: Any, context: Any = None) -> Any:
    operator._cached_logger = log
    operator.make_hook = lambda: HOOK
    return operator.execute(context or make_context())


@pytest.mark.parametrize(("given", "required"), [({}, True), ({"require_success": "False"}, False)])
def test_a_promotion_is_handed_on_and_gives_both_versions(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], required: bool
) -> None:
    calls = Calls(monkeypatch, aliases, "promote", MOVED)
    operator = SageMakerPromotePipelineOperator(task_id="t", pipeline_name="p", version="4", alias="prod", **given)
    assert run(operator) == MOVED.to_json()
    named = {"version": "4", "alias": "prod", "is_success_required": required, "log": log}
    assert calls.made == [((HOOK, "p"), named)]
    assert operator.multiple_outputs


@pytest.mark.parametrize(("version", "expected"), [(None, None), ("", None), (3, 3), ("3", "3")])
def test_a_rollback_is_handed_on_with_the_memory_of_its_task(
    monkeypatch: pytest.MonkeyPatch, version: Any, expected: Any
) -> None:
    calls = Calls(monkeypatch, aliases, "roll_back", MOVED)
    operator = SageMakerRollBackPipelineOperator(task_id="t", pipeline_name="p", alias="prod", version=version)
    store = FakeTaskStateStore()
    assert run(operator, make_context(store=store)) == MOVED.to_json()
    ((given, named),) = calls.made
    memory = named.pop("memory")
    assert (given, named) == ((HOOK, "p"), {"alias": "prod", "version": expected, "log": log})
    assert isinstance(memory, TaskStateStore)
    memory.save_log_cursor({"a": 1})
    assert list(store.values.values()) == [{"a": 1}]
    assert operator.multiple_outputs


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, {"keep": 10, "older_than": None, "is_dry_run": False}),
        ({"keep": ""}, {"keep": 10, "older_than": None, "is_dry_run": False}),
        (
            {"keep": "0", "older_than": timedelta(days=3), "dry_run": "true"},
            {"keep": 0, "older_than": timedelta(days=3), "is_dry_run": True},
        ),
    ],
)
def test_a_prune_is_handed_on_and_gives_the_names(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], named: dict[str, Any]
) -> None:
    calls = Calls(monkeypatch, lifecycle, "prune", ["p-1"])
    assert run(SageMakerPrunePipelinesOperator(task_id="t", prefix="p", **given)) == ["p-1"]
    assert calls.made == [((HOOK, "p"), {**named, "log": log.info})]
    with pytest.raises(AirflowFailException, match="prefix is empty"):
        run(SageMakerPrunePipelinesOperator(task_id="t", prefix="", **given))
    assert len(calls.made) == 1


@pytest.mark.parametrize("was_there", [True, False])
def test_a_deletion_says_whether_the_pipeline_was_there(monkeypatch: pytest.MonkeyPatch, was_there: bool) -> None:
    calls = Calls(monkeypatch, lifecycle, "delete", was_there)
    assert run(SageMakerDeletePipelineOperator(task_id="t", pipeline_name="p")) is was_there
    assert calls.made == [((HOOK, "p"), {})]
