"""Pipelines, their versions and aliases in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from airflow_sm_pipelines.engine.store.database import EngineDatabase, Page


@dataclass(frozen=True, slots=True)
class PipelineRecord:
    """One pipeline, without its definition."""

    name: str
    arn: str
    display_name: str
    description: str | None
    role_arn: str | None
    parallelism: int | None
    created_ms: int
    modified_ms: int
    last_run_ms: int | None


@dataclass(frozen=True, slots=True)
class VersionRecord:
    """One version of a pipeline; its definition never changes."""

    pipeline: str
    version: int
    definition: str
    hash: str
    display_name: str | None
    description: str | None
    created_ms: int
    last_execution_arn: str | None


class PipelineTable:
    """Reads and writes pipelines, versions and aliases."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def find(self, name: str) -> PipelineRecord | None:
        """The pipeline of this name."""
        row = self._database.row("SELECT * FROM pipelines WHERE name = ?", (name,))
        return _pipeline(row) if row else None

    def add(self, record: PipelineRecord) -> None:
        """Add a pipeline without versions."""
        values: dict[str, Any] = {name: getattr(record, name) for name in PipelineRecord.__slots__}
        row = self._database.row("SELECT COALESCE(MAX(seq), 0) + 1 AS seq FROM pipelines")
        self._database.insert("pipelines", {**values, "seq": row["seq"] if row else 1})

    def update(self, name: str, values: dict[str, Any]) -> None:
        """Change columns of a pipeline."""
        self._database.update("pipelines", values, "name = ?", (name,))

    def delete(self, name: str) -> None:
        """Remove a pipeline with its versions, aliases and executions."""
        self._database.execute("DELETE FROM pipelines WHERE name = ?", (name,))

    def page(
        self, filters: Sequence[tuple[str, Any]], page: Page
    ) -> tuple[list[PipelineRecord], tuple[Any, Any] | None]:
        """One page of pipelines."""
        rows, after = self._database.page("pipelines", filters, page)
        return [_pipeline(row) for row in rows], after

    def latest_version(self, name: str) -> VersionRecord:
        """The newest version; every pipeline has one."""
        row = self._database.row("SELECT * FROM versions WHERE pipeline = ? ORDER BY version DESC LIMIT 1", (name,))
        if row is None:
            raise LookupError(f"Pipeline '{name}' has no version.")
        return _version(row)

    def find_version(self, name: str, version: int) -> VersionRecord | None:
        """The version of this number."""
        row = self._database.row("SELECT * FROM versions WHERE pipeline = ? AND version = ?", (name, version))
        return _version(row) if row else None

    def add_version(self, record: VersionRecord) -> None:
        """Add a version."""
        self._database.insert("versions", {name: getattr(record, name) for name in VersionRecord.__slots__})

    def update_version(self, name: str, version: int, values: dict[str, Any]) -> None:
        """Change columns of a version other than its definition."""
        self._database.update("versions", values, "pipeline = ? AND version = ?", (name, version))

    def page_versions(
        self, filters: Sequence[tuple[str, Any]], page: Page
    ) -> tuple[list[VersionRecord], tuple[Any, Any] | None]:
        """One page of versions."""
        rows, after = self._database.page("versions", filters, page)
        return [_version(row) for row in rows], after

    def aliases(self, name: str, version: int) -> list[str]:
        """The aliases of a version, in alphabetical order."""
        rows = self._database.rows(
            "SELECT alias FROM aliases WHERE pipeline = ? AND version = ? ORDER BY alias", (name, version)
        )
        return [row["alias"] for row in rows]

    def alias_version(self, name: str, alias: str) -> int | None:
        """The number of the version that has this alias."""
        row = self._database.row("SELECT version FROM aliases WHERE pipeline = ? AND alias = ?", (name, alias))
        return int(row["version"]) if row else None

    def add_aliases(self, name: str, version: int, aliases: Iterable[str]) -> None:
        """Give a version aliases that no version has."""
        for alias in aliases:
            self._database.insert("aliases", {"pipeline": name, "alias": alias, "version": version})

    def remove_aliases(self, name: str, aliases: Iterable[str]) -> None:
        """Remove aliases."""
        for alias in aliases:
            self._database.execute("DELETE FROM aliases WHERE pipeline = ? AND alias = ?", (name, alias))


def _pipeline(row: sqlite3.Row) -> PipelineRecord:
    return PipelineRecord(**{name: row[name] for name in PipelineRecord.__slots__})


def _version(row: sqlite3.Row) -> VersionRecord:
    return VersionRecord(**{name: row[name] for name in VersionRecord.__slots__})
