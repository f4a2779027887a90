"""The side of a queue's stream that Airflow 3.3 tells when events are stored; older releases lack its base class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.triggers.shared_stream import SharedStreamProducer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from airflow.triggers.shared_stream import AdvanceItem

    from airflow_sm_pipelines.triggers.queue_stream import QueueReader


class QueueProducer(SharedStreamProducer):
    """Gives a queue's messages, and deletes each when its event is in the database.

    :param reader: reads the queue.
    """

    def __init__(self, reader: QueueReader) -> None:
        """Call nothing yet."""
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
