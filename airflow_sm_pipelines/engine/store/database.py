"""One SQLite connection in WAL mode with nested transactions; the engine's threads share it under a lock.

``synchronous=NORMAL``: what is committed survives the death of this process (kill -9), but perhaps not a power cut.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.schema import MIGRATIONS
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


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
                    self._connection.execute("ROLLBACK")
                raise
            self._depth -= 1
            if self._depth == 0:
                self._connection.execute("COMMIT")
                if self.on_commit is not None:
                    self.on_commit()

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
