"""A hook is shared by all that want the same one, for a while."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_sm_pipelines.airflow_task import hook_arguments
from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments, SharedHooks


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The hooks that were made."""
    found: list[Any] = []

    def make_hook(_: HookArguments) -> Any:
        found.append(SimpleNamespace(conn=None))
        return found[-1]

    monkeypatch.setattr(HookArguments, "make_hook", make_hook)
    return found


def test_many_threads_share_one_hook_for_each_connection(made: list[Any]) -> None:
    hooks = SharedHooks()
    threads = [threading.Thread(target=hooks.get, args=(HookArguments(name),)) for name in ("a", "b") for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 2
    assert hooks.get(HookArguments("a")) is not hooks.get(HookArguments("b"))


def test_a_hook_is_made_anew_when_its_time_is_over_or_its_calls_are_refused(made: list[Any]) -> None:
    hooks, arguments = SharedHooks(), HookArguments()
    first = hooks.get(arguments)
    hooks.forget(arguments)
    assert hooks.get(arguments) is not first
    short = SharedHooks(lifetime_seconds=-1)
    assert short.get(arguments) is not short.get(arguments)
    assert len(made) == 4


def test_a_hook_that_was_shared_for_a_minute_is_made_anew(made: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    hooks, arguments, now = SharedHooks(), HookArguments(), [1000.0]
    monkeypatch.setattr(hook_arguments.time, "monotonic", lambda: now[0])
    first = hooks.get(arguments)
    now[0] = 1060.0
    assert hooks.get(arguments) is first
    now[0] = 1060.5
    second = hooks.get(arguments)
    now[0] = 1120.0
    assert hooks.get(arguments) is second is not first


def test_arguments_are_the_same_for_calls_to_the_same_place_alone() -> None:
    usual = {"aws_conn_id": "a", "region_name": "r", "verify": False, "botocore_config": {"a": 1, "b": 2}}
    one = HookArguments(**usual)
    assert one.to_json() == usual
    assert one.key == HookArguments(**{**usual, "botocore_config": {"b": 2, "a": 1}}).key
    for name, other in (("aws_conn_id", "b"), ("region_name", None), ("verify", True), ("botocore_config", None)):
        assert one.key != HookArguments(**{**usual, name: other}).key


def test_a_hook_has_the_arguments_and_one_for_whoever_slows_down_by_itself_does_not_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OURS", "aws://")
    config = {"connect_timeout": 3}
    arguments = HookArguments("ours", "eu-west-1", "bundle.pem", config)
    hook, eager = arguments.make_hook(), arguments.make_hook_without_retries()
    for one in (hook, eager):
        assert (one.aws_conn_id, one.verify, one._config.connect_timeout) == ("ours", "bundle.pem", 3)
        assert one._region_name == "eu-west-1"
    assert hook._config.retries is None
    assert hook.answer_pauses != ()
    assert (eager._config.retries, eager.answer_pauses) == ({"mode": "standard", "total_max_attempts": 1}, ())
    wanted = {"retries": {"total_max_attempts": 4, "mode": "standard"}}
    assert HookArguments(botocore_config=wanted).make_hook_without_retries()._config.retries == wanted["retries"]
    empty = HookArguments("", "").make_hook()
    assert (empty.aws_conn_id, empty._region_name) == (None, None)
