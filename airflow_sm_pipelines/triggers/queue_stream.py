"""What turns messages of an SQS queue into asset events: a base for the triggers of ``AssetWatcher``.

A message is deleted when its asset event is in Airflow's database: on Airflow 3.3 when the triggerer says so, before
that a while after the event was fired. So no message is lost; one whose triggerer dies in between comes twice.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_sm_pipelines.client.status_events import delete_messages, find_queue_url, receive_messages
from airflow_sm_pipelines.client.wait_policy import plan_backoff
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable, Sequence

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

HIDDEN_SECONDS = 300
"""How long a message is hidden from others: longer than its event may take to be stored."""

STORED_AFTER_SECONDS = 15.0
"""How long after it was fired an event is taken to be stored, where Airflow does not say so."""

WAIT_SECONDS = 5
_MAX_REMEMBERED = 10_000

LEAVE: dict[str, Any] = {}
"""What a message is read as that stays in the queue."""


class SageMakerQueueEventTrigger(BaseEventTrigger):
    """Fires an event for each message of a queue; a base for the others.

    :param queue: the queue's name or URL. It has this trigger to itself.
    """

    def __init__(
        self,
        *,
        queue: str,
        aws_conn_id: str | None = "aws_default",
        region_name: str | None = None,
        verify: bool | str | None = None,
        botocore_config: dict[str, Any] | None = None,
    ) -> None:
        """Hold what the trigger needs; nothing is called when a DAG file is parsed."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.queue = queue
        self.arguments: dict[str, Any] = {
            "queue": queue,
            "aws_conn_id": aws_conn_id,
            "region_name": region_name,
            "verify": verify,
            "botocore_config": botocore_config,
        }

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", dict(self.arguments)

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """What a message of the queue is: the event's payload, with an ``id``; :data:`LEAVE`; or None to delete it."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire, for ever."""
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
        """What tells this trigger's stream from others."""
        path, arguments = self.serialize()
        return (path, json.dumps(arguments, sort_keys=True, default=str))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire what the stream gives."""
        async for payload in shared_stream:
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """The stream, and what deletes a message once its event is stored."""
        from airflow_sm_pipelines.triggers.queue_producer import QueueProducer

        return QueueProducer(QueueReader(cls(**kwargs)))

    async def _settle_later(self, reader: QueueReader, receipt: str) -> None:
        await asyncio.sleep(STORED_AFTER_SECONDS)
        await reader.settle([receipt])

    def make_hook(self) -> SageMakerPipelinesHook:
        """A hook on this trigger's connection; calls that are refused are made again by the reader, later."""
        from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

        return SageMakerPipelinesHook(
            aws_conn_id=self.arguments["aws_conn_id"],
            region_name=self.arguments["region_name"],
            verify=self.arguments["verify"],
            config={
                "retries": {"mode": "standard", "total_max_attempts": 1},
                **(self.arguments["botocore_config"] or {}),
            },
        )


class QueueReader:
    """Reads a queue for a trigger, in a thread of its own: long calls must not fill the triggerer's few threads."""

    def __init__(self, trigger: SageMakerQueueEventTrigger) -> None:
        """Call nothing yet."""
        self._trigger = trigger
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sm-pipelines-queue")
        self._hook: SageMakerPipelinesHook | None = None
        self._url = ""
        self._fired: OrderedDict[str, None] = OrderedDict()

    async def stream(self) -> AsyncIterator[tuple[dict[str, Any], str]]:
        """The payload and receipt of each message, for ever; a queue that cannot be read is tried again."""
        failures = 0
        while True:
            try:
                found = await self._in_thread(self._receive)
                failures = 0
            except Exception as error:
                # An asset watcher that ends is not started again.
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
                # Not before it is fired: a message that only seemed to be would be deleted when it comes again.
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
            hook = self._trigger.make_hook()
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
