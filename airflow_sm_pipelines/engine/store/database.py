"""One SQLite connection in WAL mode with nested transactions; the engine's threads share it under a lock.

``synchronous=NORMAL``: what is committed survives the death of this process (kill -9), but perhaps not a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.write_ahead import WriteAheadGuard
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


_FIRST = """
CREATE TABLE pipelines (
    name TEXT PRIMARY KEY, seq INTEGER NOT NULL, arn TEXT NOT NULL UNIQUE, display_name TEXT NOT NULL, description TEXT,
    role_arn TEXT, parallelism INTEGER, created_ms INTEGER NOT NULL, modified_ms INTEGER NOT NULL, last_run_ms INTEGER);
CREATE INDEX pipelines_by_creation ON pipelines (created_ms, name);

CREATE TABLE versions (
    pipeline TEXT NOT NULL REFERENCES pipelines (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    definition TEXT NOT NULL, hash TEXT NOT NULL, display_name TEXT, description TEXT, created_ms INTEGER NOT NULL,
    last_execution_arn TEXT, PRIMARY KEY (pipeline, version));

CREATE TABLE aliases (
    pipeline TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (pipeline, alias),
    FOREIGN KEY (pipeline, version) REFERENCES versions (pipeline, version) ON DELETE CASCADE);

CREATE TABLE executions (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, arn TEXT NOT NULL UNIQUE,
    pipeline TEXT NOT NULL REFERENCES pipelines (name) ON DELETE CASCADE, version INTEGER NOT NULL,
    display_name TEXT NOT NULL, description TEXT, status TEXT NOT NULL, failure_reason TEXT, parameters TEXT NOT NULL,
    parallelism INTEGER, experiment TEXT NOT NULL, role_arn TEXT, created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL);
CREATE INDEX executions_by_creation ON executions (pipeline, created_ms, id);
CREATE INDEX executions_by_arn ON executions (pipeline, arn, id);
CREATE INDEX executions_by_status ON executions (status);

CREATE TABLE steps (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    name TEXT NOT NULL, status TEXT, started_ms INTEGER, ended_ms INTEGER, failure_reason TEXT, metadata TEXT NOT NULL,
    properties TEXT, resource_kind TEXT, resource_name TEXT, attempt INTEGER NOT NULL,
    UNIQUE (execution_id, name));
CREATE INDEX steps_by_start ON steps (execution_id, started_ms, seq);

CREATE INDEX steps_by_resource ON steps (resource_kind, resource_name);

CREATE TABLE resources (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, name TEXT NOT NULL, arn TEXT NOT NULL UNIQUE,
    status TEXT, family TEXT, version INTEGER, document TEXT NOT NULL, created_ms INTEGER NOT NULL,
    modified_ms INTEGER NOT NULL, UNIQUE (kind, name));
CREATE INDEX resources_by_creation ON resources (kind, created_ms, name);
CREATE INDEX resources_by_family ON resources (kind, family, version);

CREATE TABLE tokens (
    operation TEXT NOT NULL, token TEXT NOT NULL, fingerprint TEXT NOT NULL, response TEXT NOT NULL, pipeline TEXT,
    PRIMARY KEY (operation, token));
CREATE INDEX tokens_by_pipeline ON tokens (pipeline);

CREATE TABLE tags (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, arn TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
    UNIQUE (arn, key));
"""

_STEP_CACHE = """
ALTER TABLE steps ADD COLUMN cache_key TEXT;
ALTER TABLE steps ADD COLUMN cache_source TEXT;
CREATE INDEX steps_by_cache_key ON steps (cache_key, ended_ms);
"""

_SELECTION = """
ALTER TABLE executions ADD COLUMN selection TEXT;
ALTER TABLE steps ADD COLUMN selective_source TEXT;
"""

_WAITING_STEPS = """
ALTER TABLE steps ADD COLUMN items TEXT;
ALTER TABLE steps ADD COLUMN parent TEXT;
ALTER TABLE steps ADD COLUMN iteration INTEGER;
ALTER TABLE steps ADD COLUMN item TEXT;
ALTER TABLE steps ADD COLUMN callback_token TEXT;
ALTER TABLE steps ADD COLUMN callback_sent TEXT;
ALTER TABLE steps ADD COLUMN retry_at_ms INTEGER;
ALTER TABLE steps ADD COLUMN retries TEXT;
CREATE UNIQUE INDEX steps_by_callback_token ON steps (callback_token) WHERE callback_token IS NOT NULL;
CREATE INDEX steps_by_retry ON steps (execution_id, retry_at_ms) WHERE retry_at_ms IS NOT NULL;
"""
"""A ForEach step has its items, and a step it made its parent and item. Steps may wait for a callback or a retry."""

_EVENTS = """
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, execution_id TEXT NOT NULL REFERENCES executions (id) ON DELETE CASCADE,
    step TEXT, parent TEXT, previous TEXT, current TEXT NOT NULL,
    at_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)),
    started_ms INTEGER NOT NULL, ended_ms INTEGER, failure_reason TEXT, metadata TEXT, cache_source TEXT);
CREATE INDEX events_by_execution ON events (execution_id);
CREATE TRIGGER execution_begins AFTER INSERT ON executions BEGIN
    INSERT INTO events (execution_id, current, started_ms) VALUES (NEW.id, NEW.status, NEW.created_ms); END;
CREATE TRIGGER execution_changes AFTER UPDATE OF status ON executions WHEN NEW.status <> OLD.status BEGIN
    INSERT INTO events (execution_id, previous, current, started_ms, ended_ms)
    VALUES (NEW.id, OLD.status, NEW.status, NEW.created_ms,
        CASE WHEN NEW.status IN ('Executing', 'Stopping') THEN NULL ELSE NEW.modified_ms END); END;
CREATE TRIGGER step_begins AFTER INSERT ON steps WHEN NEW.selective_source IS NULL AND NEW.status IS NOT NULL BEGIN
    INSERT INTO events (execution_id, step, parent, current, started_ms, ended_ms, failure_reason, metadata)
    VALUES (NEW.execution_id, NEW.name, NEW.parent, NEW.status, NEW.started_ms, NEW.ended_ms, NEW.failure_reason,
        NEW.metadata); END;
CREATE TRIGGER step_changes AFTER UPDATE OF status ON steps
    WHEN NEW.status IS NOT NULL AND NEW.status IS NOT OLD.status BEGIN
    INSERT INTO events (execution_id, step, parent, previous, current, started_ms, ended_ms, failure_reason, metadata,
        cache_source)
    VALUES (NEW.execution_id, NEW.name, NEW.parent, OLD.status, NEW.status, NEW.started_ms, NEW.ended_ms,
        NEW.failure_reason, NEW.metadata, NEW.cache_source); END;
"""
"""Triggers write the events, so that no code that changes a status can forget one."""

_MLFLOW = "ALTER TABLE executions ADD COLUMN mlflow TEXT;"

_FLAT_CALLS = """
CREATE INDEX resources_by_status ON resources (kind, status, created_ms, name);
CREATE INDEX steps_by_cacheable_end ON steps (name, ended_ms) WHERE cache_key IS NOT NULL;
"""
"""Without these indexes a start reads all jobs there ever were, and a cache miss reads all steps."""

_RESOURCE_EVENTS = """
CREATE TABLE resource_events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, arn TEXT NOT NULL, document TEXT NOT NULL,
    at_ms INTEGER NOT NULL DEFAULT (CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)));
CREATE TRIGGER resource_begins AFTER INSERT ON resources
    WHEN NEW.kind IN ('ProcessingJob', 'TrainingJob', 'TransformJob', 'HyperParameterTuningJob', 'ModelPackage') BEGIN
    INSERT INTO resource_events (kind, arn, document) VALUES (NEW.kind, NEW.arn, NEW.document); END;
CREATE TRIGGER resource_changes AFTER UPDATE OF status ON resources WHEN NEW.status IS NOT OLD.status
    AND NEW.kind IN ('ProcessingJob', 'TrainingJob', 'TransformJob', 'HyperParameterTuningJob', 'ModelPackage') BEGIN
    INSERT INTO resource_events (kind, arn, document) VALUES (NEW.kind, NEW.arn, NEW.document); END;
"""
"""Events of jobs and model packages hold the Describe answer of their moment."""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _STEP_CACHE,
    _SELECTION,
    _WAITING_STEPS,
    _EVENTS,
    _MLFLOW,
    _FLAT_CALLS,
    _RESOURCE_EVENTS,
)
"""The schema. The number of applied migrations is the version of a file.

Append to this list, and never change an entry that was released.
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list to read.

    :param sort_column: what to sort by. ``tie_column`` breaks ties and must be unique.
    :param after: the sort value and tie value of the last row that was given already; None for the beginning.
    """

    sort_column: str
    tie_column: str
    is_descending: bool
    limit: int
    after: tuple[Any, Any] | None = None


class EngineDatabase:
    """The state file, opened and migrated to the newest schema.

    :param path: the file; made if it does not exist. Its directory must exist.
    :raises LocalEndpointError: it cannot be opened or written, is damaged, or was written by a newer version.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._depth = 0
        self.on_commit: Callable[[], None] | None = None
        """Called after each transaction while the lock is held, so it must be brief."""
        try:
            self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._connection.row_factory = sqlite3.Row
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=10000"):
                self._connection.execute(f"PRAGMA {pragma}")
            self._guard = WriteAheadGuard(self._connection, path)
            self._migrate()
        except sqlite3.Error as error:
            raise LocalEndpointError(
                f"The state file {path} cannot be used: {error}. Check the directory's permissions and free space,"
                " or name another state directory."
            ) from error

    def _migrate(self) -> None:
        version = int(self._connection.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise LocalEndpointError(
                f"The state file {self._path} has schema {version}, this version knows {len(MIGRATIONS)}:"
                " use the newer version that wrote it, or another state directory."
            )
        for position in range(version, len(MIGRATIONS)):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {MIGRATIONS[position]} PRAGMA user_version = {position + 1}; COMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing: commit when the outermost block ends, and roll back if it raises."""
        with self._lock:
            if self._depth == 0:
                self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
            except BaseException:
                self._depth -= 1
                if self._depth == 0:
                    self._roll_back()
                raise
            self._depth -= 1
            if self._depth == 0:
                self._commit()
                if self.on_commit is not None:
                    self.on_commit()

    def _commit(self) -> None:
        try:
            self._guard.count()
            self._connection.execute("COMMIT")
        except sqlite3.Error:
            self._roll_back()
            raise
        self._guard.committed()

    def _roll_back(self) -> None:
        # SQLite takes some failed transactions back by itself, and leaves others open.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
        self._guard.rolled_back()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one state. Nobody writes between them, since everybody writes through this connection."""
        with self._lock:
            yield

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement, and give the number of rows it changed."""
        with self._lock:
            return self._connection.execute(sql, parameters).rowcount

    def insert(self, table: str, values: dict[str, Any]) -> None:
        """Add one row."""
        names = ", ".join(values)
        marks = ", ".join("?" * len(values))
        self.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values()))  # noqa: S608

    def update(self, table: str, values: dict[str, Any], where: str, parameters: Sequence[Any]) -> int:
        """Change the rows that match, and give their number."""
        if not values:
            return 0
        assignments = ", ".join(f"{name} = ?" for name in values)
        return self.execute(f"UPDATE {table} SET {assignments} WHERE {where}", (*values.values(), *parameters))  # noqa: S608

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> sqlite3.Row | None:
        """The first row of a query, if any."""
        with self._lock:
            found: sqlite3.Row | None = self._connection.execute(sql, parameters).fetchone()
            return found

    def page(
        self, table: str, filters: Sequence[tuple[str, Any]], page: Page
    ) -> tuple[list[sqlite3.Row], tuple[Any, Any] | None]:
        """One page of a table, and where the next page begins.

        Pages are found by key, so the cost does not grow with the offset.

        :param filters: SQL conditions with one ``?`` each, and their values.
        """
        conditions = [condition for condition, _ in filters]
        values = [value for _, value in filters]
        direction, comparison = ("DESC", "<") if page.is_descending else ("ASC", ">")
        if page.after is not None:
            conditions.append(f"({page.sort_column}, {page.tie_column}) {comparison} (?, ?)")
            values.extend(page.after)
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        found = self.rows(
            f"SELECT * FROM {table} {where}"  # noqa: S608
            f" ORDER BY {page.sort_column} {direction}, {page.tie_column} {direction} LIMIT ?",
            (*values, page.limit + 1),
        )
        if len(found) <= page.limit:
            return found, None
        last = found[page.limit - 1]
        return found[: page.limit], (last[page.sort_column], last[page.tie_column])

    def close(self) -> None:
        """Close the file. The object cannot be used afterwards."""
        with self._lock:
            self._connection.close()
            self._guard.close()
