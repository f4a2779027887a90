"""A watcher serves all waits on its connection, from the first to the last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
from airflow_sm_pipelines.triggers import watcher_registry
from airflow_sm_pipelines.triggers.status_event_feed import EventFeeds
from airflow_sm_pipelines.triggers.watcher_registry import WatcherRegistry

if TYPE_CHECKING:
    import pytest


class Watcher:
    """A watcher that only knows whether it was started."""

    def __init__(self, make_hook: Any, *, feeds: EventFeeds) -> None:
        self.make_hook, self.feeds, self.starts = make_hook, feeds, 0

    def start(self) -> None:
        self.starts += 1


def test_waits_on_one_connection_share_a_watcher_that_ends_with_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_registry, "PipelineWatcher", Watcher)
    registry, arguments = WatcherRegistry(), HookArguments("a")
    first, release_first = registry.acquire(arguments)
    second, release_second = registry.acquire(HookArguments("a"))
    other, release_other = registry.acquire(HookArguments("b"))
    assert first is second is not other
    assert len(registry) == 2
    for one in (first, other):
        made: Any = one
        assert made.starts == 1
        assert isinstance(made.feeds, EventFeeds)
        assert made.feeds is getattr(first, "feeds")  # noqa: B009 - the stand-in's
        assert made.make_hook.__name__ == "make_hook_without_retries"
    assert first.make_hook.__self__ is arguments  # type: ignore[attr-defined]
    assert release_first() is None
    assert len(registry) == 2
    assert release_second() is first
    assert release_other() is other
    assert len(registry) == 0
    again, _ = registry.acquire(arguments)
    assert again is not first


def test_a_forked_process_has_watchers_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher_registry, "PipelineWatcher", Watcher)
    registry = WatcherRegistry()
    of_parent, _ = registry.acquire(HookArguments())
    monkeypatch.setattr(watcher_registry.os, "getpid", lambda: -1)
    assert registry.acquire(HookArguments())[0] is not of_parent
