"""Log streams and their events on disk. The groups are in the journal.

moto learns of the streams when the first client asks for logs, so that a start does not pay for the logs of every job
that ever ran, and it reads their events from the database.
"""

from __future__ import annotations

import threading
import time
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
                self._show(region, group, stream)

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
                self._show(request.region, group, stream)
            elif request.operation in {"DeleteLogStream", "DeleteLogGroup"}:
                sql = "DELETE FROM log_streams WHERE region = ? AND log_group = ?"
                values = [request.region, group]
                if request.operation == "DeleteLogStream":
                    sql, values = f"{sql} AND name = ?", [*values, stream]
                with self._database.transaction() as connection:
                    connection.execute(sql, values)

    def load(self) -> None:
        """Let moto's backend know all streams, once, before it answers a request to CloudWatch Logs.

        Their events stay in the database: moto reads them from there (:mod:`.stored_stream`).
        """
        with self._lock:
            if self._is_loaded:
                return
            # Not at a start, which leaves a state as it is that it refuses; and lines are written faster without.
            with self._database.transaction() as connection:
                connection.execute("CREATE INDEX IF NOT EXISTS log_events_by_time ON log_events (stream, timestamp)")
                connection.execute("DROP INDEX IF EXISTS log_events_by_stream")
            self.show_all()
            self._is_loaded = True

    def show_all(self) -> None:
        """Let moto have all streams; nothing on disk changes.

        :raises AttributeError: when this moto's streams are not those that this code knows.
        """
        for region, group, stream in self._database.read("SELECT region, log_group, name FROM log_streams ORDER BY id"):
            self._show(str(region), str(group), str(stream))

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

    def _show(self, region: str, group: str, stream: str) -> None:
        """Let moto have a stream of the database."""
        from moto.logs.models import logs_backends

        from airflow_sm_pipelines.server.persistence.stored_stream import StoredStream

        found = logs_backends[ACCOUNT_ID][region].groups.get(group)
        if found is None or isinstance(found.streams.get(stream), StoredStream):
            return
        ((number, created),) = self._database.read(
            "SELECT id, created FROM log_streams WHERE region = ? AND log_group = ? AND name = ?", region, group, stream
        )
        found.streams[stream] = StoredStream(
            found,
            stream,
            database=self._database,
            number=number,  # type: ignore[arg-type]
            created=created,  # type: ignore[arg-type]
        )
