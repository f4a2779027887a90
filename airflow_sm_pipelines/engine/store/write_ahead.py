"""Notices that a database has lost transactions: its write-ahead file is gone or damaged.

SQLite takes a database without its write-ahead file, or with one that ends in the middle, for one that is whole. So
each transaction is counted twice: in the database, and in a small file beside it. The engine and the endpoint's other
services use this for their databases; what is in those is not known here.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from airflow_sm_pipelines.exceptions import LocalEndpointError

_LOG = logging.getLogger(__name__)
_CHECKPOINT_SECONDS = 30.0
"""So often, at most, what was written is moved from the write-ahead file into the database."""

_BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
_SCHEMA = "CREATE TABLE IF NOT EXISTS commits (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL)"


class WriteAheadGuard:
    """Counts the transactions of one database.

    :param connection: the database's, in WAL mode and autocommit; nothing may have been written through it.
    :param path: the database's file.
    :raises LocalEndpointError: when transactions are missing that this run of the machine has written.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._count_path = path.with_name(f"{path.name}.commits")
        self._boot = _read_boot_id()
        known, boot = self._read_count()
        self._number = self._read_number()
        if self._number < known:
            self._tell_loss(known, is_same_boot=boot == self._boot)
        self._file = os.open(self._count_path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._write_count()
        self._changes = connection.total_changes
        self._next_checkpoint = 0.0
        self.checkpoint()

    def count(self) -> None:
        """Count the open transaction if it has changed something. Call this right before its COMMIT."""
        if self._connection.total_changes != self._changes:
            if self._number == 0:
                # Not before: a start that refuses a state leaves it as it is.
                self._connection.execute(_SCHEMA)
            self._connection.execute("INSERT OR REPLACE INTO commits VALUES (1, ?)", (self._number + 1,))

    def committed(self) -> None:
        """Note that the transaction was committed. Call this right after its COMMIT."""
        if self._connection.total_changes == self._changes:
            return
        self._changes = self._connection.total_changes
        self._number += 1
        self._write_count()
        self.checkpoint()

    def rolled_back(self) -> None:
        """Note that the transaction was taken back."""
        self._changes = self._connection.total_changes

    def checkpoint(self) -> None:
        """Move what was written into the database, if that was not done lately."""
        now = time.monotonic()
        if now < self._next_checkpoint:
            return
        self._next_checkpoint = now + _CHECKPOINT_SECONDS
        with suppress(sqlite3.OperationalError):  # the disk is full: the write-ahead file keeps it
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def close(self) -> None:
        """Give up the file. The database is closed by its owner."""
        os.close(self._file)

    def _read_number(self) -> int:
        if not self._connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'commits'").fetchone():
            return 0
        row = self._connection.execute("SELECT number FROM commits").fetchone()
        return int(row[0]) if row else 0

    def _read_count(self) -> tuple[int, str]:
        try:
            number, boot = self._count_path.read_text(encoding="ascii").split()
            return int(number), boot
        except (OSError, ValueError):
            return 0, ""

    def _write_count(self) -> None:
        # Always of one length and in one block, so that it can be written on a full disk.
        with suppress(OSError):
            os.pwrite(self._file, f"{self._number:020d} {self._boot}\n".encode("ascii"), 0)

    def _tell_loss(self, known: int, *, is_same_boot: bool) -> None:
        text = f"The state file {self._path} lacks the newest {known - self._number} of {known} changes"
        if self._number and not is_same_boot:
            # Without syncing at each change, which would make all of them slow, this is to be expected.
            _LOG.warning("%s: the machine went down before they were on the disk.", text)
            return
        wal = self._path.with_name(f"{self._path.name}-wal")
        with suppress(OSError):
            shutil.copyfile(wal, wal.with_name(f"{wal.name}.kept"))
        raise LocalEndpointError(
            f"{text}: its write-ahead file {wal.name} is missing or damaged. Put the files of the directory back from "
            f"a copy, or choose another state directory. To go on with what is left, remove {self._count_path}."
        )


def _read_boot_id() -> str:
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"
