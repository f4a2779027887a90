"""The log of a job: the lines of all instances, sent in batches as CloudWatch Logs would get them.

What belongs here: lines, streams, batches, the last lines. What does not: where the lines are stored.
"""

from __future__ import annotations

import codecs
import sqlite3
import time
from collections import deque
from contextlib import suppress
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_TAIL_LINES = 20
_BATCH_SECONDS = 0.5
_BATCH_LINES = 5000
_LINE_CHARACTERS = 60_000
"""CloudWatch Logs refuses an event over 256 KB."""

MAX_LOG_CHARACTERS = 1 << 30
"""A job's log ends here, and says so. Metrics are read from its later lines, too."""

_MAX_HELD_LINES = 20_000
"""So many lines wait in memory while they cannot be stored."""


class JobLog:
    """Collects lines and sends them. It is not thread-safe: only the thread of the job uses it.

    :param write: gets the name of a stream and its new lines, each with its time in epoch milliseconds.
    :param job_name: streams are called ``<job name>/algo-1-<epoch seconds>``, as SageMaker's are.
    """

    def __init__(self, write: Callable[[str, list[tuple[int, str]]], None], job_name: str) -> None:
        self._write, self._job_name = write, job_name
        self._epoch = int(time.time())
        self._pending: dict[str, list[tuple[int, str]]] = {}
        self._next_flush = 0.0
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._left = MAX_LOG_CHARACTERS
        self.listeners: list[Callable[[int, str], None]] = []

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of all instances together."""
        return tuple(self._tail)

    def restore_tail(self, lines: tuple[str, ...]) -> None:
        """Take up the last lines of a log that an earlier engine stored."""
        self._tail.extend(lines)

    def add(self, host: str, line: str) -> None:
        """Add one line of an instance."""
        self.add_all(host, [line])

    def add_all(self, host: str, lines: Sequence[str]) -> None:
        """Add lines of an instance that have come together."""
        stamp = time.time_ns() // 1_000_000
        parts = lines if max(map(len, lines)) <= _LINE_CHARACTERS else [part for line in lines for part in _cut(line)]
        self._tail.extend(parts[-_TAIL_LINES:])
        batch = self._pending.setdefault(host, [])
        size = sum(map(len, parts)) + len(parts)
        if size < self._left:
            self._left -= size
            batch += [(stamp, part) for part in parts]
        else:
            self._end(batch, stamp, parts)
        if len(batch) >= _BATCH_LINES:
            self.flush()
        for listen in self.listeners:
            for line in lines:
                listen(stamp, line)

    def _end(self, batch: list[tuple[int, str]], stamp: int, parts: Sequence[str]) -> None:
        """Put what there is still room for into the batch, and then a line that says so."""
        for part in parts:
            if self._left <= 0:
                return
            self._left -= len(part) + 1
            said = f"The log ends here: a job's log holds {MAX_LOG_CHARACTERS >> 20} MB. The job goes on."
            batch.append((stamp, part if self._left > 0 else said))

    def flush_due(self) -> None:
        """Send the lines that have waited long enough."""
        if self._pending and time.monotonic() >= self._next_flush:
            self.flush()

    def flush(self) -> None:
        """Send all lines."""
        pending, self._pending = self._pending, {}
        for host, lines in pending.items():
            self._write(f"{self._job_name}/{host}-{self._epoch}", lines)
        self._next_flush = time.monotonic() + _BATCH_SECONDS


class PatientLog:
    """Hands lines on, and holds those that cannot be stored, so that a full disk does not end a job.

    :param write: as for :class:`JobLog`; raises ``sqlite3.OperationalError`` where there is no room.
    """

    def __init__(self, write: Callable[[str, list[tuple[int, str]]], None]) -> None:
        self._write = write
        self._held: deque[tuple[str, int, str]] = deque(maxlen=_MAX_HELD_LINES)
        self._lost = 0

    def write(self, stream: str, lines: list[tuple[int, str]]) -> None:
        """Store lines, after those that wait; or have them wait, too."""
        with suppress(sqlite3.OperationalError):
            self.flush()
            if not self._held:
                self._write(stream, lines)
                return
        room = _MAX_HELD_LINES - len(self._held)
        self._lost += max(0, len(lines) - room)
        self._held.extend((stream, *line) for line in lines)

    def flush(self) -> None:
        """Store what waits.

        :raises sqlite3.OperationalError: there is no room; it waits on.
        """
        if self._lost and self._held:
            stream, stamp, _ = self._held[0]
            text = f"{self._lost} lines are missing here: the disk was full."
            self._write(stream, [(stamp, text)])
            self._lost = 0
        while self._held:
            stream = self._held[0][0]
            first = list(takewhile(partial(_is_of, stream), self._held))
            self._write(stream, [(stamp, line) for _, stamp, line in first])
            for _ in first:
                self._held.popleft()


def _is_of(stream: str, held: tuple[str, int, str]) -> bool:
    return held[0] == stream


class LineSplitter:
    """Turns chunks of bytes into lines.

    :param take: gets the lines of a chunk, one at least.
    """

    def __init__(self, take: Callable[[Sequence[str]], None]) -> None:
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> None:
        """Take a chunk; complete lines are passed on, and so is a line that has grown too long."""
        text = self._rest + self._decoder.decode(chunk, final=not chunk)
        *lines, self._rest = text.replace("\r\n", "\n").split("\n")
        if len(self._rest) > _LINE_CHARACTERS or (not chunk and self._rest):
            lines.append(self._rest)
            self._rest = ""
        if "\r" in text:
            # Of a progress bar that is drawn over itself, only the last state is kept.
            lines = [line.rstrip("\r").rpartition("\r")[2] for line in lines]
        if lines:
            self._take(lines)


def _cut(line: str) -> list[str]:
    """A line in parts that CloudWatch Logs takes."""
    return [line[start : start + _LINE_CHARACTERS] for start in range(0, len(line) or 1, _LINE_CHARACTERS)]
