"""The SQLite file with moto's state: one connection, one writer at a time.

WAL with `synchronous=NORMAL`: a committed change survives the death of the process at any moment. A power cut may cost
the last moments, as it may cost object files, which are not synced either.

The tables belong to the format of the state directory: who changes one raises ``state_directory.STATE_FORMAT``.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.store.write_ahead import WriteAheadGuard
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS requests (
    id INTEGER PRIMARY KEY, operation TEXT NOT NULL, seed BLOB NOT NULL, environ TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS buckets (
    name TEXT NOT NULL, setting TEXT NOT NULL, created REAL NOT NULL, environ TEXT NOT NULL, body BLOB NOT NULL,
    PRIMARY KEY (name, setting));
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT NOT NULL, key TEXT NOT NULL, position INTEGER NOT NULL, record TEXT NOT NULL, blob TEXT,
    PRIMARY KEY (bucket, key, position)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    bucket TEXT NOT NULL, upload TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (bucket, upload)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS parts (
    bucket TEXT NOT NULL, upload TEXT NOT NULL, number INTEGER NOT NULL, record TEXT NOT NULL, blob TEXT,
    PRIMARY KEY (bucket, upload, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages (
    region TEXT NOT NULL, queue TEXT NOT NULL, id TEXT NOT NULL, record TEXT NOT NULL, PRIMARY KEY (region, queue, id));
CREATE TABLE IF NOT EXISTS log_streams (
    id INTEGER PRIMARY KEY, region TEXT NOT NULL, log_group TEXT NOT NULL, name TEXT NOT NULL, created REAL NOT NULL,
    UNIQUE (region, log_group, name));
CREATE TABLE IF NOT EXISTS log_events (
    id INTEGER PRIMARY KEY, stream INTEGER NOT NULL REFERENCES log_streams (id) ON DELETE CASCADE,
    timestamp INTEGER NOT NULL, ingestion INTEGER NOT NULL, message TEXT NOT NULL);
"""


class EndpointDatabase:
    """The tables of moto's state.

    :param path: the file; made where it is missing.
    :raises LocalEndpointError: when it is not a database, or is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("PRAGMA foreign_keys=ON")
            self._guard = WriteAheadGuard(self._connection, path)
            self._connection.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise LocalEndpointError(
                f"The endpoint's state {path} cannot be read ({error}). "
                "Choose another state directory, or remove this one."
            ) from error

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction of this thread alone, committed unless the block raises; gives the connection."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._guard.count()
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite takes some failed transactions back by itself.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                self._guard.rolled_back()
                raise
            self._guard.committed()

    def read(self, query: str, *values: object) -> list[tuple[object, ...]]:
        """All rows of a query.

        :param query: an SQL SELECT.
        :param values: for its question marks.
        """
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()
            self._guard.close()
