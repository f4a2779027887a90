"""A hook is shared by all that want the same one, for a while."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import pytest

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
