"""Room on the disk for the engine itself: a job that fills the disk is ended, and a small reserve is kept.

What the engine has to write down (how a job ended, its log) waits in memory while there is no room for it. First the
job that fills the disk is ended and its directory removed; then the reserve is given up; then the engine waits.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.rules.errors import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

MAX_LOW_BYTES = 16 << 20
"""With less than this free, or a fiftieth of a small disk, the disk counts as full. The reserve is as large again."""

RETRY_SECONDS = 1.0
"""How long to wait before writing again what could not be written."""

_MEASURE_SECONDS = 0.5
_BLOCK_BYTES = 512
"""The unit of ``st_blocks``."""


class DiskRoom:
    """Watches the disk that a directory is on.

    :param directory: the engine's own; the reserve is a file in it.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._reserve = directory / ".reserve"
        self._low_bytes = min(MAX_LOW_BYTES, shutil.disk_usage(directory).total // 50)
        self._lock = threading.Lock()
        self._users: set[Path] = set()
        self._next_measure = 0.0

    def prepare(self) -> None:
        """Set the reserve aside where there is room for it, and give it up where the disk is full."""
        try:
            if self._reserve.exists():
                if self.is_full():
                    self.give_up_reserve()
            elif self.free_bytes() > 4 * self._low_bytes:
                with self._reserve.open("wb") as file:
                    # Allocated and not only made longer: a hole in a file holds no room.
                    if hasattr(os, "posix_fallocate"):
                        os.posix_fallocate(file.fileno(), 0, self._low_bytes)
                    else:
                        file.write(bytes(self._low_bytes))
        except OSError as error:
            _LOG.debug("No reserve on the disk: %s", error)
            with suppress(OSError):
                self._reserve.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """How much of the disk is free for this user."""
        return shutil.disk_usage(self._directory).free

    def is_full(self) -> bool:
        """Whether too little is free to start anything. A reserve that was given up does not count as free."""
        return self.free_bytes() < self._low_bytes * (1 if self._reserve.exists() else 2)

    @contextmanager
    def used_by(self, directory: Path) -> Iterator[None]:
        """While this context is open, count a job's directory among those that may fill the disk."""
        with self._lock:
            self._users.add(directory)
        try:
            yield
        finally:
            with self._lock:
                self._users.discard(directory)

    def check(self, directory: Path) -> None:
        """End the job of a directory if the disk is full and none of the running jobs holds more of it. Cheap.

        :raises JobFailure: it does; the reason says so.
        """
        if not self.is_full():
            return
        with self._lock:
            if time.monotonic() < self._next_measure:
                return
            sizes = {path: measure_directory(path) for path in self._users}
            self._next_measure = time.monotonic() + _MEASURE_SECONDS
        held = sizes.get(directory, 0)
        if held < self._low_bytes or held < max(sizes.values()):
            # Something else has filled the disk: ending this job would help little.
            with self._lock:
                self._next_measure = 0.0
            return
        raise JobFailure(
            f"InternalServerError: the disk of {self._directory} is full. Of the running jobs this one held the most "
            f"of it ({held >> 20} MB), so it was ended. Make room, or let the job write less."
        )

    def wait(self, is_over: Callable[[], bool], pause: Callable[[float], object]) -> None:
        """Wait until there is room to start something.

        :param is_over: tells when not to wait any longer.
        :param pause: waits for so many seconds, or less.
        """
        self.prepare()
        if self.is_full() and not is_over():
            _LOG.warning("The disk of %s is full: no job starts until there is room.", self._directory)
        while self.is_full() and not is_over():
            pause(RETRY_SECONDS)
            self.prepare()

    def write_surely(self, write: Callable[[], _T], shutdown: threading.Event) -> _T:
        """Write to the store, however long the disk is full: nobody else would write this.

        :param write: writes all or nothing.
        :param shutdown: ends the waiting.
        :return: what `write` gives.
        :raises Interrupted: the engine shuts down, and it is not written.
        """
        is_told = False
        while True:
            try:
                return write()
            except sqlite3.OperationalError as error:
                if self.give_up_reserve():
                    continue
                if not is_told:
                    _LOG.warning("The engine's state cannot be written (%s): trying until there is room.", error)
                    is_told = True
                if shutdown.wait(RETRY_SECONDS):
                    raise Interrupted from error

    def give_up_reserve(self) -> bool:
        """Free the reserve, and tell whether there was one."""
        try:
            self._reserve.unlink()
        except OSError:
            return False
        return True


def make_room(directory: Path) -> None:
    """Give up the reserve of an engine that is about to start on a full disk.

    :param directory: the engine's own; it need not exist.
    """
    if directory.is_dir() and (room := DiskRoom(directory)).is_full():
        room.give_up_reserve()


def measure_directory(directory: Path) -> int:
    """How many bytes of the disk the files of a directory hold. What vanishes meanwhile does not count."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(folder, name)).st_blocks * _BLOCK_BYTES  # noqa: PTH118 - many files
    return total
