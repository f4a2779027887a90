"""Reads an SQS queue for a trigger, and deletes each message when its asset event is in Airflow's database.

Airflow 3.3 says when that is; for older releases the trigger waits a while. So no message is lost; one whose triggerer
dies in between comes twice. Only a triggerer imports this module.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

try:
    from airflow.triggers.shared_stream import SharedStreamProducer
except ImportError:  # Airflow before 3.3, which never asks for a producer; delete when 3.3 is the oldest
    SharedStreamProducer = object  # type: ignore[assignment, misc]

from airflow_sm_pipelines.airflow_task.asking_threads import let_ask
from airflow_sm_pipelines.client.status_events import delete_messages, find_queue_url, receive_messages
from airflow_sm_pipelines.client.wait_policy import plan_backoff
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_sm_pipelines.airflow_task.hook_arguments import HookArguments
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook

HIDDEN_SECONDS = 300
"""How long a message is hidden from others: longer than its event may take to be stored."""

STORED_AFTER_SECONDS = 15.0
"""How long after it was fired an event is taken to be stored, where Airflow does not say so."""

WAIT_SECONDS = 5
_MAX_REMEMBERED = 10_000


class QueueReader:
    """Reads a queue for a trigger, in a thread of its own: long calls must not fill the triggerer's few threads.

    :param arguments: the connection to read through.
    :param queue: the queue's name or URL.
    :param read: gives the payload of a message's event, with an ``id``; an empty one leaves the message in the queue,
        None deletes it.
    """

    def __init__(
        self,
        arguments: HookArguments,
        queue: str,
        *,
        read: Callable[[SageMakerPipelinesHook, dict[str, Any]], dict[str, Any] | None],
        log: Logger,
    ) -> None:
        self._arguments = arguments
        self._queue = queue
        self._read = read
        self._log = log
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
                    self._log.warning("%s The queue is read again later.", text)
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
                self._log.warning("%s", error)

    def close(self) -> None:
        """Let the thread go; a call under way ends by itself."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _in_thread(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, let_ask(work))

    def _receive(self) -> list[tuple[dict[str, Any], str]]:
        if self._hook is None:
            hook = self._arguments.make_hook_without_retries()
            self._url = find_queue_url(hook, self._queue)
            self._hook = hook
        items = receive_messages(self._hook, self._url, wait_seconds=WAIT_SECONDS, hidden_seconds=HIDDEN_SECONDS)
        found, done = [], []
        for item in items:
            try:
                payload = self._read(self._hook, item)
            except PipelineApiError as error:
                self._log.warning("%s The message is read again later.", error)
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
