"""One reader for each queue of status changes: a thread that takes messages out and tells every watcher of the process.

A queue has one process to itself (see docs/waiting.md); within it all watchers hear everything.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.client.status_events import (
    delete_messages,
    find_queue_url,
    parse_queued,
    put_back,
    receive_messages,
)
from airflow_sm_pipelines.client.wait_policy import plan_backoff
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.status_events import StatusChange
    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

EXTRA = "events_queue"
"""The connection's extra that names the queue."""

WAIT_SECONDS = 20
"""How long one call waits for messages; a reader that nobody needs any more lives at most so long."""

log = logging.getLogger(__name__)


class EventListener(Protocol):
    """What is told of events; called in the reader's thread, so it only takes notes."""

    def changed(self, change: StatusChange) -> None:
        """Take note of one event, which is deleted from the queue afterwards."""

    def events_failed(self, reason: str) -> None:
        """Take note that the queue cannot be read."""


class EventFeeds:
    """The readers of this process, by queue; each ends when nobody listens any more."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = threading.Lock()
        self._listeners: dict[tuple[object, ...], list[EventListener]] = {}

    def subscribe(
        self,
        key: tuple[object, ...],
        queue: str,
        make_hook: Callable[[], SageMakerPipelinesHook],
        listener: EventListener,
    ) -> Callable[[], None]:
        """Tell the listener of each message from now on; gives what ends that.

        :param key: what tells this queue from others.
        :param queue: its name or URL, in which ``{hostname}`` stands for this machine's name.
        """
        key = (os.getpid(), *key, queue)
        with self._lock:
            is_new = key not in self._listeners
            self._listeners.setdefault(key, []).append(listener)
        if is_new:
            name = queue.replace("{hostname}", socket.gethostname())
            threading.Thread(
                target=self._read, args=(key, name, make_hook), name="sm-pipelines-events", daemon=True
            ).start()
        return lambda: self._unsubscribe(key, listener)

    def _unsubscribe(self, key: tuple[object, ...], listener: EventListener) -> None:
        with self._lock:
            self._listeners[key].remove(listener)

    def _current(self, key: tuple[object, ...]) -> list[EventListener]:
        """Who listens; the reader's entry goes with the last one, and the reader must end then."""
        with self._lock:
            found = list(self._listeners[key])
            if not found:
                del self._listeners[key]
        return found

    def _read(self, key: tuple[object, ...], queue: str, make_hook: Callable[[], SageMakerPipelinesHook]) -> None:
        hook: SageMakerPipelinesHook | None = None
        url, failures, is_warned = "", 0, False
        while True:
            items: list[dict[str, Any]] = []
            problem = None
            try:
                if hook is None:
                    hook = make_hook()
                    url = find_queue_url(hook, queue)
                items = receive_messages(hook, url, wait_seconds=WAIT_SECONDS)
                failures = 0
            except Exception as error:
                # Whatever it is, executions are still looked at, and the queue may come back.
                hook, failures = None, failures + 1
                problem = str(error) if isinstance(error, PipelineApiError) else f"{type(error).__name__}: {error}"
            listeners = self._current(key)
            if not listeners:
                if hook is not None:
                    with suppress(PipelineApiError):  # they come again by themselves, later
                        put_back(hook, url, [item["ReceiptHandle"] for item in items])
                return
            if hook is None:
                for listener in listeners:
                    listener.events_failed(str(problem))
                time.sleep(plan_backoff(failures=min(failures, 5), waiter_delay=1))
                continue
            messages = [parse_queued(item) for item in items]
            for message in messages:
                if message.change is not None:
                    for listener in listeners:
                        listener.changed(message.change)
            try:
                # Notes in memory are enough: whoever waits after a crash begins with a look.
                delete_messages(hook, url, [one.receipt for one in messages if one.change is not None])
            except PipelineApiError as error:
                log.info("Events that were read come again: %s", error)
            if not is_warned and any(one.change is None for one in messages):
                is_warned = True
                log.warning("Queue %s holds messages that are no pipeline events; they are left in it.", url)
