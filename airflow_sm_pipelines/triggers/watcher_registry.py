"""The watchers of a process: which wait is served by which."""

from __future__ import annotations

import json
import os
import threading
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.triggers.status_event_feed import EventFeeds
from airflow_sm_pipelines.triggers.watcher import PipelineWatcher

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook


class WatcherRegistry:
    """The watchers of this process, by connection; each is started by its first wait and closed after its last."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._feeds = EventFeeds()
        self._watchers: dict[tuple[object, ...], tuple[PipelineWatcher, int]] = {}

    def __len__(self) -> int:
        """How many watchers there are."""
        with self._lock:
            return len(self._watchers)

    def acquire(
        self, key: tuple[object, ...], make_hook: Callable[[], SageMakerPipelinesHook]
    ) -> tuple[PipelineWatcher, Callable[[], PipelineWatcher | None]]:
        """The watcher for a connection, and what to call, once, when the wait is over.

        That call gives the watcher if nobody uses it any more: the caller then closes it, off the event loop.
        """
        key = (os.getpid(), *key)  # a forked child has the entry, but not the thread
        with self._lock:
            watcher, users = self._watchers.get(key, (None, 0))
            if watcher is None:
                watcher = PipelineWatcher(make_hook, feeds=self._feeds)
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


def make_watcher_key(
    *, aws_conn_id: str | None, region_name: str | None, verify: bool | str | None, botocore_config: Any
) -> tuple[object, ...]:
    """What two waits must have in common to share a watcher: all that decides where and as whom calls go.

    A connection names its endpoint, so connection and region cover it; the environment's is the process's.
    """
    return (aws_conn_id, region_name, verify, json.dumps(botocore_config, sort_keys=True, default=str))
