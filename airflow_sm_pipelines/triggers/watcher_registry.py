"""The watchers of a process: one for each connection on which tasks wait."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from airflow_sm_pipelines.triggers.status_event_feed import EventFeeds
from airflow_sm_pipelines.triggers.watcher import PipelineWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments


class WatcherRegistry:
    """The watchers of this process. Each starts with the first wait on its connection, and closes after the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._feeds = EventFeeds()
        self._watchers: dict[tuple[object, ...], tuple[PipelineWatcher, int]] = {}

    def __len__(self) -> int:
        """How many watchers there are."""
        with self._lock:
            return len(self._watchers)

    def acquire(self, arguments: HookArguments) -> tuple[PipelineWatcher, Callable[[], PipelineWatcher | None]]:
        """The watcher of a connection, and a function to call, once, when the wait is over.

        That function gives the watcher if no other wait uses it; the caller then closes it, off the event loop.
        """
        key = (os.getpid(), *arguments.key)  # a forked child has the entry, but not the thread
        with self._lock:
            watcher, users = self._watchers.get(key, (None, 0))
            if watcher is None:
                watcher = PipelineWatcher(arguments.make_hook_without_retries, feeds=self._feeds)
                watcher.start()
            self._watchers[key] = (watcher, users + 1)
        return watcher, lambda: self._release(key)

    def _release(self, key: tuple[object, ...]) -> PipelineWatcher | None:
        with self._lock:
            watcher, users = self._watchers[key]
            if users > 1:
                self._watchers[key] = (watcher, users - 1)
                return None
            del self._watchers[key]
        return watcher
