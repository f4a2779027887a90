"""The messages in moto's SQS queues on disk. The queues themselves are in the journal.

Receipt handles and visibility survive too: a consumer that received a message before a restart can delete it after.
"""

from __future__ import annotations

import base64
import json
import sys
import threading
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server.persistence.endpoint_database import EndpointDatabase

_BYTES = "base64"


class QueueMessages:
    """Keeps the messages of every queue.

    :param database: where they are kept.
    """

    def __init__(self, database: EndpointDatabase) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._stored: dict[tuple[str, str], dict[str, str]] = {}

    def record(self) -> None:
        """Make the messages of all queues durable as they are now. An unchanged queue costs no write."""
        with self._lock:
            current = {(region, queue.name): self._records(queue) for region, queue in self._queues()}
            for place in current.keys() | self._stored.keys():
                old, new = self._stored.get(place, {}), current.get(place, {})
                if old != new:
                    self._write(place, old, new)
            self._stored = current

    def restore(self) -> None:
        """Put the messages back into their queues, in the order in which they were sent.

        :raises AttributeError: when this moto's messages lack an attribute of a record.
        """
        rows = self._database.read("SELECT region, queue, id, record FROM messages ORDER BY rowid")
        if not rows:
            return
        from moto.sqs.models import Message, sqs_backends

        for region, queue_name, message_id, record in rows:
            queue = sqs_backends[ACCOUNT_ID][str(region)].queues.get(str(queue_name))
            if queue is None:
                continue
            message = Message(str(message_id), "")
            attributes = json.loads(str(record), object_hook=_restore_bytes)
            if unknown := attributes.keys() - vars(message).keys():
                raise AttributeError(f"moto's SQS messages have no attribute '{min(unknown)}'")
            vars(message).update(attributes)
            queue._messages.append(message)
            if message.receipt_handle:
                queue.pending_messages.add(message)
        self._stored = {(region, queue.name): self._records(queue) for region, queue in self._queues()}

    def _write(self, place: tuple[str, str], old: dict[str, str], new: dict[str, str]) -> None:
        with self._database.transaction() as connection:
            for message_id in old.keys() - new.keys():
                connection.execute(
                    "DELETE FROM messages WHERE region = ? AND queue = ? AND id = ?", (*place, message_id)
                )
            for message_id, record in new.items():
                if old.get(message_id) != record:
                    connection.execute(
                        "INSERT INTO messages VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET record = excluded.record",
                        (*place, message_id, record),
                    )

    @staticmethod
    def _records(queue: Any) -> dict[str, str]:
        return {message.id: json.dumps(message.__dict__, default=_record_bytes) for message in list(queue._messages)}

    @staticmethod
    def _queues() -> Iterator[tuple[str, Any]]:
        # Nothing has used SQS where its module is not loaded.
        models = sys.modules.get("moto.sqs.models")
        if models is not None:
            for region, backend in list(models.sqs_backends[ACCOUNT_ID].items()):
                for queue in list(backend.queues.values()):
                    yield region, queue


def _record_bytes(value: object) -> dict[str, str]:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    raise TypeError(f"a message holds a {type(value).__name__}")


def _restore_bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value[_BYTES]) if value.keys() == {_BYTES} else value
