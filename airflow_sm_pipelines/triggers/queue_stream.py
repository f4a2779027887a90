"""Turns messages of an SQS queue into asset events: a base for the triggers of ``AssetWatcher``.

A message is deleted when its asset event is in Airflow's database. Airflow 3.3 tells the trigger when that is; for
older releases the trigger waits a while. So no message is lost; one whose triggerer dies in between comes twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

try:
    from airflow.triggers.shared_stream import SharedStreamProducer
except ImportError:  # Airflow before 3.3, which never asks for a producer; delete when 3.3 is the oldest
    SharedStreamProducer = object  # type: ignore[assignment, misc]

from airflow_sm_pipelines.client.status_events import delete_messages, find_queue_url, receive_messages
from airflow_sm_pipelines.client.wait_policy import plan_backoff
from airflow_sm_pipelines.exceptions import PipelineApiError
from airflow_sm_pipelines.triggers.base import SageMakerPipelinesTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

HIDDEN_SECONDS = 300
"""How long a message is hidden from others: longer than its event may take to be stored."""

STORED_AFTER_SECONDS = 15.0
"""How long after it was fired an event is taken to be stored, where Airflow does not say so."""

WAIT_SECONDS = 5
_MAX_REMEMBERED = 10_000

LEAVE: dict[str, Any] = {}
"""The payload that stands for a message that stays in the queue."""


class SageMakerQueueEventTrigger(SageMakerPipelinesTrigger, BaseEventTrigger):
    """Fires an event for each message of a queue; a base for the others.

    :param queue: the queue's name or URL. No other trigger and no sensor may read it.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(self, *, queue: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queue = queue

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {"queue": self.queue}

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """The payload of a message's event, with an ``id``; :data:`LEAVE` leaves the message there, None deletes it."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire an event for each message, without an end."""
        reader = QueueReader(self)
        settling: set[asyncio.Task[None]] = set()
        try:
            async for payload, receipt in reader.stream():
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                task = asyncio.create_task(self._settle_later(reader, receipt))
                settling.add(task)
                task.add_done_callback(settling.discard)
        finally:
            for task in settling:
                task.cancel()
            reader.close()

    # --- Airflow 3.3: the triggerer says when an event is stored ------------------------------------------------------

    def shared_stream_key(self) -> Hashable:
        """The key of this trigger's stream, which no trigger with other arguments shares."""
        path, arguments = self.serialize()
        return (path, json.dumps(arguments, sort_keys=True, default=str))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire an event for each payload of the stream."""
        async for payload in shared_stream:
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """The stream, and the means to delete a message once its event is stored."""
        return QueueProducer(QueueReader(cls(**kwargs)))

    async def _settle_later(self, reader: QueueReader, receipt: str) -> None:
        await asyncio.sleep(STORED_AFTER_SECONDS)
        await reader.settle([receipt])


class QueueReader:
    """Reads a queue for a trigger, in a thread of its own: long calls must not fill the triggerer's few threads."""

    def __init__(self, trigger: SageMakerQueueEventTrigger) -> None:
        self._trigger = trigger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sm-pipelines-queue")
        self._hook: SageMakerPipelinesHook | None = None
        self._url = ""
        self._fired: OrderedDict[str, None] = OrderedDict()

    async def stream(self) -> AsyncIterator[tuple[dict[str, Any], str]]:
        """The payload and receipt of each message, without an end; a queue that cannot be read is tried again."""
        failures = 0
        while True:
            try:
                found = await self._in_thread(self._receive)
                failures = 0
            except Exception as error:  # noqa: BLE001 - Airflow does not restart an asset watcher that has ended
                text = str(error) if isinstance(error, PipelineApiError) else f"{type(error).__name__}: {error}"
                if not failures:
                    self._trigger.log.warning("%s The queue is read again later.", text)
                failures += 1
                self._hook = None
                await asyncio.sleep(plan_backoff(failures=min(failures, 6), waiter_delay=1))
                continue
            for payload, receipt in found:
                if payload["id"] in self._fired:
                    await self.settle([receipt])
                    continue
                # Remembered only now: a message that was not fired must not be deleted when it comes again.
                self._fired[payload["id"]] = None
                if len(self._fired) > _MAX_REMEMBERED:
                    self._fired.popitem(last=False)
                yield payload, receipt

    async def settle(self, receipts: Sequence[str]) -> None:
        """Delete messages whose events are stored; one that is not deleted comes again, and is deleted then."""
        for start in range(0, len(receipts), 10):
            try:
                await self._in_thread(partial(self._delete, receipts[start : start + 10]))
            except PipelineApiError as error:
                self._trigger.log.warning("%s", error)

    def close(self) -> None:
        """Let the thread go; a call under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _receive(self) -> list[tuple[dict[str, Any], str]]:
        if self._hook is None:
            hook = self._trigger.hook_arguments.make_hook_without_retries()
            self._url = find_queue_url(hook, self._trigger.queue)
            self._hook = hook
        items = receive_messages(self._hook, self._url, wait_seconds=WAIT_SECONDS, hidden_seconds=HIDDEN_SECONDS)
        found, done = [], []
        for item in items:
            try:
                payload = self._trigger.read(self._hook, item)
            except PipelineApiError as error:
                self._trigger.log.warning("%s The message is read again later.", error)
                continue
            if payload is None:
                done.append(item["ReceiptHandle"])
            elif payload:
                found.append((payload, item["ReceiptHandle"]))
        self._delete(done)
        return found

    def _delete(self, receipts: Sequence[str]) -> None:
        if self._hook is not None:
            delete_messages(self._hook, self._url, receipts)


class QueueProducer(SharedStreamProducer):
    """Gives a queue's messages to the triggerer of Airflow 3.3, and deletes each when its event is in the database.

    :param reader: reads the queue.
    """

    def __init__(self, reader: QueueReader) -> None:
        self._reader = reader

    async def open_stream(self) -> AsyncIterator[tuple[Any, Any]]:
        """Each message's payload and receipt."""
        async for payload, receipt in self._reader.stream():
            yield payload, receipt

    async def advance(self, batch: Sequence[AdvanceItem]) -> None:
        """Delete the messages whose events are stored; the others come again."""
        await self._reader.settle([item.broker_payload for item in batch if item.outcome.is_clean])

    async def aclose(self) -> None:
        """Let the reader's thread go."""
        self._reader.close()
