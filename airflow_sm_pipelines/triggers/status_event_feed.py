"""Reads queues of status changes: one thread for each queue passes its messages on to every watcher of the process.

No other process reads the same queue (see docs/waiting.md).
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.airflow_task.asking_threads import let_ask
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
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

QUEUE_EXTRA = "events_queue"
"""The extra of an Airflow connection that names the queue."""

WAIT_SECONDS = 20
"""How long one call waits for messages, and how long a reader runs on at most after its last listener has gone."""

log = logging.getLogger(__name__)


class EventListener(Protocol):
    """Receives events in the reader's thread, so its methods must return at once."""

    def record_change(self, change: StatusChange) -> None:
        """Note one event, which is deleted from the queue afterwards."""

    def record_failure(self, reason: str) -> None:
        """Note that the queue cannot be read."""


class EventFeeds:
    """The readers of this process, by queue. Each ends when it has no listener any more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[tuple[object, ...], list[EventListener]] = {}

    def subscribe(
        self,
        key: tuple[object, ...],
        queue: str,
        make_hook: Callable[[], SageMakerPipelinesHook],
        listener: EventListener,
    ) -> Callable[[], None]:
        """Pass each message on to the listener from now on.

        :param key: the same for two listeners on the same connection.
        :param queue: the queue's name or URL, in which ``{hostname}`` stands for this machine's name.
        :return: a function that ends it.
        """
        key = (os.getpid(), *key, queue)
        with self._lock:
            is_new = key not in self._listeners
            self._listeners.setdefault(key, []).append(listener)
        if is_new:
            name = queue.replace("{hostname}", socket.gethostname())
            threading.Thread(
                target=let_ask(self._read), args=(key, name, make_hook), name="sm-pipelines-events", daemon=True
            ).start()
        return lambda: self._unsubscribe(key, listener)

    def _unsubscribe(self, key: tuple[object, ...], listener: EventListener) -> None:
        with self._lock:
            self._listeners[key].remove(listener)

    def _listeners_of(self, key: tuple[object, ...]) -> list[EventListener]:
        """The listeners of a queue. If there is none, the entry is deleted, and the reader must end."""
        with self._lock:
            found = list(self._listeners[key])
            if not found:
                del self._listeners[key]
        return found

    def _read(self, key: tuple[object, ...], queue: str, make_hook: Callable[[], SageMakerPipelinesHook]) -> None:
        reader = _FeedReader(queue, make_hook)
        failures = 0
        while True:
            problem = reader.receive()
            listeners = self._listeners_of(key)
            if not listeners:
                reader.put_back()
                return
            if problem is None:
                failures = 0
                reader.pass_on(listeners)
                continue
            failures += 1
            for listener in listeners:
                listener.record_failure(problem)
            time.sleep(plan_backoff(failures=min(failures, 5), waiter_delay=1))


class _FeedReader:
    """Takes messages from one queue; used by one thread."""

    def __init__(self, queue: str, make_hook: Callable[[], SageMakerPipelinesHook]) -> None:
        self._queue = queue
        self._make_hook = make_hook
        self._hook: SageMakerPipelinesHook | None = None
        self._url = ""
        self._items: list[dict[str, Any]] = []
        self._is_warned = False

    def receive(self) -> str | None:
        """Take the next messages, if any come; gives the reason if the queue cannot be read."""
        self._items = []
        try:
            if self._hook is None:
                hook = self._make_hook()
                self._url = find_queue_url(hook, self._queue)
                self._hook = hook
            self._items = receive_messages(self._hook, self._url, wait_seconds=WAIT_SECONDS)
        except Exception as error:  # noqa: BLE001 - executions are checked all the same; the queue may come back
            self._hook = None
            return str(error) if isinstance(error, PipelineApiError) else f"{type(error).__name__}: {error}"
        return None

    def put_back(self) -> None:
        """Let others have the messages that were taken last."""
        if self._hook is not None:
            with suppress(PipelineApiError):  # the messages come again by themselves, later
                put_back(self._hook, self._url, [item["ReceiptHandle"] for item in self._items])

    def pass_on(self, listeners: list[EventListener]) -> None:
        """Pass on the messages that were taken last, and delete those that are status changes."""
        messages = [parse_queued(item) for item in self._items]
        changes = [(message.change, message.receipt) for message in messages if message.change is not None]
        for change, _ in changes:
            for listener in listeners:
                listener.record_change(change)
        try:
            # Deleted before anything is done: after a crash, every wait begins with a check.
            if self._hook is not None:
                delete_messages(self._hook, self._url, [receipt for _, receipt in changes])
        except PipelineApiError as error:
            log.info("Events that were read come again: %s", error)
        if not self._is_warned and len(changes) < len(messages):
            self._is_warned = True
            log.warning("Queue %s holds messages that are no pipeline events; they are left in it.", self._url)
