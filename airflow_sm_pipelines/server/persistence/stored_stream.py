"""A log stream of moto's whose events are read from the database whenever somebody asks, so that none are in memory.

It relies on moto's ``LogStream`` (5.2): what its methods get, and that other parts of moto only iterate over events.
This module loads moto's logs, so import it when they are needed.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from moto.logs.exceptions import InvalidParameterException
from moto.logs.models import LogStream
from moto.logs.utils import EventMessageFilter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server.persistence.endpoint_database import EndpointDatabase

_MOST_EVENTS = 10_000
"""A page of GetLogEvents (API reference)."""

_COLUMNS = "SELECT timestamp, ingestion, message, id FROM log_events WHERE stream = ?"


class StoredStream(LogStream):
    """A stream of the database.

    :param group: moto's log group.
    :param name: the stream's name.
    :param database: where its events are.
    :param number: its id there.
    :param created: in epoch seconds.
    """

    def __init__(self, group: Any, name: str, *, database: EndpointDatabase, number: int, created: float) -> None:
        self._database, self._number = database, number
        super().__init__(group, name)
        self.creation_time = datetime.fromtimestamp(created, timezone.utc).replace(tzinfo=None)

    @property  # type: ignore[override]
    def events(self) -> _StoredEvents:
        """All events, read as they are iterated over."""
        return _StoredEvents(self._database, self._number)

    @events.setter
    def events(self, events: Any) -> None:
        """Do nothing: what moto adds, the endpoint writes to the database."""

    @property
    def stored_bytes(self) -> int:
        """How many characters there are."""
        return self._count("SELECT coalesce(sum(length(message)), 0)")

    @stored_bytes.setter
    def stored_bytes(self, count: int) -> None:
        """Do nothing: it is counted when it is asked for."""

    def to_describe_dict(self) -> dict[str, Any]:
        """The stream in an answer. CloudWatch Logs always says 0 bytes (API reference, LogStream)."""
        described = {
            "arn": self.arn,
            "creationTime": int(self.creation_time.replace(tzinfo=timezone.utc).timestamp() * 1000),
            "logStreamName": self.log_stream_name,
            "storedBytes": 0,
        }
        if last := self._one("SELECT max(timestamp)"):
            described |= {
                "firstEventTimestamp": self._one("SELECT min(timestamp)"),
                "lastEventTimestamp": last,
                "lastIngestionTime": self._one("SELECT ingestion", "ORDER BY timestamp DESC, id DESC LIMIT 1"),
                "uploadSequenceToken": str(self.upload_sequence_token),
            }
        return described

    def get_log_events(
        self, start_time: Any, end_time: Any, limit: Any, next_token: str | None, start_from_head: Any
    ) -> tuple[list[dict[str, Any]], str | None, str | None]:
        """A page of events in the order of their times, and the tokens of the pages before and after it."""
        where, values = _during(start_time, end_time)
        count, size = self._count("SELECT count(*)", where, *values), int(limit or _MOST_EVENTS)
        direction, index = _read_token(next_token)
        if direction == "f":
            first, last = index + 1, index + size
        elif direction == "b":
            first, last = index - size, index - 1
        else:
            first, last = (0, size - 1) if start_from_head else (count - size, count - 1)
        first, last = max(first, 0), min(last, count - 1)
        if first > last:
            # Nothing is there yet, or any more: the same tokens ask again.
            edge = max(count - 1, -1) if direction != "b" else 0
            return [], f"b/{max(edge, 0):056d}", f"f/{edge:056d}"
        order = f"{where} ORDER BY timestamp, id LIMIT ? OFFSET ?"
        rows = self._database.read(f"{_COLUMNS} {order}", self._number, *values, last - first + 1, first)
        events = [{"timestamp": row[0], "ingestionTime": row[1], "message": row[2]} for row in rows]
        return events, f"b/{first:056d}", f"f/{last:056d}"

    def filter_log_events(self, start_time: Any, end_time: Any, filter_pattern: Any) -> list[dict[str, Any]]:
        """The events that match a pattern."""
        where, values = _during(start_time, end_time)
        query = f"{_COLUMNS} {where} ORDER BY timestamp, id"
        pattern = EventMessageFilter(filter_pattern)
        return [
            {
                "eventId": str(event_id),
                "ingestionTime": ingestion,
                "message": message,
                "timestamp": timestamp,
                "logStreamName": self.log_stream_name,
            }
            for timestamp, ingestion, message, event_id in self._database.read(query, self._number, *values)
            if pattern.matches(str(message))
        ]

    def _count(self, what: str, rest: str = "", *values: object) -> int:
        return int(self._one(what, rest, *values))

    def _one(self, what: str, rest: str = "", *values: object) -> Any:
        ((found,),) = self._database.read(f"{what} FROM log_events WHERE stream = ? {rest}", self._number, *values) or [
            (None,)
        ]
        return found


class StoredEvent(NamedTuple):
    """An event as moto's own look to those who read them; moto would keep each of its own for ever."""

    timestamp: int
    ingestion_time: int
    message: str
    event_id: int


class _StoredEvents:
    """The events of a stream, a page in memory at a time."""

    def __init__(self, database: EndpointDatabase, number: int) -> None:
        self._database, self._number = database, number

    def __iter__(self) -> Iterator[StoredEvent]:
        last = 0
        while rows := self._database.read(
            f"{_COLUMNS} AND id > ? ORDER BY id LIMIT ?", self._number, last, _MOST_EVENTS
        ):
            yield from (StoredEvent(*row) for row in rows)  # type: ignore[arg-type]
            last = rows[-1][3]  # type: ignore[assignment]

    def __iadd__(self, events: Any) -> _StoredEvents:
        return self


def _during(start: Any, end: Any) -> tuple[str, list[int]]:
    """A condition for a time, and its values."""
    given = [("timestamp >= ?", start), ("timestamp <= ?", end)]
    return "".join(f" AND {text}" for text, value in given if value), [int(value) for _, value in given if value]


def _read_token(token: str | None) -> tuple[str, int]:
    """The direction of a page and the index that it begins from."""
    if token is None:
        return "", 0
    try:
        if token[:1] in ("f", "b"):
            return token[0], int(token[2:])
    except ValueError:
        pass
    raise InvalidParameterException("The specified nextToken is invalid.")
