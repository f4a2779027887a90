"""The log of a job: the lines of all instances, sent in batches as CloudWatch Logs would get them.

What belongs here: lines, streams, batches, the last lines. What does not: where the lines are stored.
"""

from __future__ import annotations

import codecs
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TAIL_LINES = 20
_BATCH_SECONDS = 0.5
_BATCH_LINES = 1000
_LINE_CHARACTERS = 60_000
"""CloudWatch Logs refuses an event over 256 KB."""


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
        self.listeners: list[Callable[[int, str], None]] = []

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines of all instances together."""
        return tuple(self._tail)

    def add(self, host: str, line: str) -> None:
        """Add one line of an instance."""
        stamp = time.time_ns() // 1_000_000
        for start in range(0, len(line) or 1, _LINE_CHARACTERS):
            part = line[start : start + _LINE_CHARACTERS]
            batch = self._pending.setdefault(host, [])
            batch.append((stamp, part))
            self._tail.append(part)
            if len(batch) >= _BATCH_LINES:
                self.flush()
        for listen in self.listeners:
            listen(stamp, line)

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


class LineSplitter:
    """Turns chunks of bytes into lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take = take
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, chunk: bytes) -> None:
        """Take a chunk; complete lines are passed on, and so is a line that has grown too long."""
        text = self._rest + self._decoder.decode(chunk, final=not chunk)
        *lines, self._rest = text.replace("\r\n", "\n").split("\n")
        for line in lines:
            # Of a progress bar that is drawn over itself, only the last state is kept.
            self._take(line.rstrip("\r").rpartition("\r")[2])
        if len(self._rest) > _LINE_CHARACTERS or (not chunk and self._rest):
            self._take(self._rest.rstrip("\r").rpartition("\r")[2])
            self._rest = ""
