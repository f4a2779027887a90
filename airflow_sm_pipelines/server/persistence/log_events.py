"""Log streams and their events on disk. The groups are in the journal.

moto gets the events from the database when the first client asks for logs, so that a start does not pay for the logs of
every job that ever ran.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.local_endpoint import ACCOUNT_ID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.server.http.messages import Request
    from airflow_sm_pipelines.server.persistence.endpoint_database import EndpointDatabase


class LogEvents:
    """Keeps log streams and their events.

    :param database: where they are kept.
    """

    def __init__(self, database: EndpointDatabase) -> None:
        self._database = database
        self._lock = threading.RLock()
        self._is_loaded = False

    def write(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        """Append events to a stream, which is made where it is missing. Its group must exist.

        :param region: the group's region.
        :param group: the group's name.
        :param stream: the stream's name.
        :param events: milliseconds since the epoch, and text.
        """
        with self._lock:
            self._append(region, group, stream, events)
            if self._is_loaded:
                self._append_to_moto(region, group, stream, time.time(), int(time.time() * 1000), events)

    def record(self, request: Request, document: dict[str, Any]) -> None:
        """Make durable what a client's successful request to CloudWatch Logs changed.

        :param request: the request.
        :param document: its body.
        """
        group, stream = str(document.get("logGroupName", "")), str(document.get("logStreamName", ""))
        with self._lock:
            if request.operation == "PutLogEvents":
                events = [(int(event["timestamp"]), str(event["message"])) for event in document["logEvents"]]
                self._append(request.region, group, stream, events)
            elif request.operation == "CreateLogStream":
                self._append(request.region, group, stream, [])
            elif request.operation in {"DeleteLogStream", "DeleteLogGroup"}:
                sql = "DELETE FROM log_streams WHERE region = ? AND log_group = ?"
                values = [request.region, group]
                if request.operation == "DeleteLogStream":
                    sql, values = f"{sql} AND name = ?", [*values, stream]
                with self._database.transaction() as connection:
                    connection.execute(sql, values)

    def load(self) -> None:
        """Fill moto's backend, once. It must be full before moto answers a request to CloudWatch Logs."""
        with self._lock:
            if self._is_loaded:
                return
            for number, region, group, stream, created in self._database.read(
                "SELECT id, region, log_group, name, created FROM log_streams ORDER BY id"
            ):
                rows: Any = self._database.read(
                    "SELECT ingestion, timestamp, message FROM log_events WHERE stream = ? ORDER BY id", number
                )
                place = (str(region), str(group), str(stream), float(created))  # type: ignore[arg-type]
                self._append_to_moto(*place, 0, [])
                for ingestion, timestamp, message in rows:
                    self._append_to_moto(*place, ingestion, [(timestamp, message)])
            self._is_loaded = True

    def _append(self, region: str, group: str, stream: str, events: Sequence[tuple[int, str]]) -> None:
        now = time.time()
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO log_streams (region, log_group, name, created) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (region, group, stream, now),
            )
            (number,) = connection.execute(
                "SELECT id FROM log_streams WHERE region = ? AND log_group = ? AND name = ?", (region, group, stream)
            ).fetchone()
            connection.executemany(
                "INSERT INTO log_events (stream, timestamp, ingestion, message) VALUES (?, ?, ?, ?)",
                [(number, timestamp, int(now * 1000), message) for timestamp, message in events],
            )

    @staticmethod
    def _append_to_moto(
        region: str, group: str, stream: str, created: float, ingestion: int, events: Sequence[tuple[int, str]]
    ) -> None:
        from moto.logs.models import LogEvent, LogStream, logs_backends

        found = logs_backends[ACCOUNT_ID][region].groups.get(group)
        if found is None:
            return
        if stream not in found.streams:
            found.streams[stream] = LogStream(found, stream)
            found.streams[stream].creation_time = datetime.fromtimestamp(created, timezone.utc).replace(tzinfo=None)
        target = found.streams[stream]
        for timestamp, message in events:
            target.events.append(LogEvent(ingestion, {"timestamp": timestamp, "message": message}))
            target.stored_bytes += len(message)
            target.upload_sequence_token += 1
            target.last_ingestion_time = datetime.fromtimestamp(ingestion / 1000, timezone.utc).replace(tzinfo=None)
