"""What steps and clients make, each with its Describe answer: jobs, models, endpoints, experiments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.database import Page
from airflow_sm_pipelines.engine.store.documents import decode_document, encode_document

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from airflow_sm_pipelines.engine.store.database import EngineDatabase

_EVERYTHING = Page(sort_column="created_ms", tie_column="seq", is_descending=True, limit=1_000_000)


@dataclass(frozen=True, slots=True)
class ResourceRecord:
    """One resource.

    :param kind: such as ``ProcessingJob``, ``Model`` or ``TrialComponent``.
    :param name: unique within the kind; a versioned model package is ``<group>/<version>``.
    :param status: the job status, or the approval status of a model package.
    :param family: the group of a model package, the tuning job of a training job, the experiment of a trial.
    :param document: the Describe answer, and under names that begin with ``$`` what only the engine reads. Times are
        datetimes.
    """

    kind: str
    name: str
    arn: str
    status: str | None
    family: str | None
    version: int | None
    document: dict[str, Any]
    created_ms: int
    modified_ms: int

    @property
    def public_document(self) -> dict[str, Any]:
        """The Describe answer."""
        return {key: value for key, value in self.document.items() if not key.startswith("$")}


class ResourceTable:
    """Reads and writes resources."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def find(self, kind: str, name: str) -> ResourceRecord | None:
        """The resource of this kind and name."""
        row = self._database.row("SELECT * FROM resources WHERE kind = ? AND name = ?", (kind, name))
        return _resource(row) if row else None

    def find_by_arn(self, arn: str) -> ResourceRecord | None:
        """The resource of this ARN."""
        row = self._database.row("SELECT * FROM resources WHERE arn = ?", (arn,))
        return _resource(row) if row else None

    def add(self, record: ResourceRecord) -> None:
        """Add a resource."""
        values: dict[str, Any] = {name: getattr(record, name) for name in ResourceRecord.__slots__}
        self._database.insert("resources", {**values, "document": encode_document(record.document)})

    def save(self, record: ResourceRecord) -> None:
        """Write the status and document of a changed resource."""
        self._database.update(
            "resources",
            {
                "status": record.status,
                "document": encode_document(record.document),
                "modified_ms": record.modified_ms,
            },
            "kind = ? AND name = ?",
            (record.kind, record.name),
        )

    def delete(self, kind: str, name: str) -> None:
        """Remove a resource."""
        self._database.execute("DELETE FROM resources WHERE kind = ? AND name = ?", (kind, name))

    def standalone_active_jobs(self, kinds: Sequence[str]) -> list[tuple[str, str]]:
        """Kind and name of the active jobs that no step or tuning job made, oldest first."""
        marks = ", ".join("?" * len(kinds))
        rows = self._database.rows(
            f"SELECT kind, name FROM resources AS job WHERE kind IN ({marks})"  # noqa: S608
            " AND status IN ('InProgress', 'Stopping') AND family IS NULL AND NOT EXISTS (SELECT 1 FROM steps"
            " WHERE steps.resource_kind = job.kind AND steps.resource_name = job.name) ORDER BY seq",
            tuple(kinds),
        )
        return [(row["kind"], row["name"]) for row in rows]

    def active_jobs(self, kinds: Sequence[str]) -> list[tuple[str, str]]:
        """Kind and name of all active jobs."""
        marks = ", ".join("?" * len(kinds))
        rows = self._database.rows(
            f"SELECT kind, name FROM resources WHERE kind IN ({marks}) AND status IN ('InProgress', 'Stopping')",  # noqa: S608
            tuple(kinds),
        )
        return [(row["kind"], row["name"]) for row in rows]

    def names(self, kind: str, *, statuses: Sequence[str]) -> list[str]:
        """The names of the resources of a kind that have one of these statuses, oldest first."""
        marks = ", ".join("?" * len(statuses))
        rows = self._database.rows(
            f"SELECT name FROM resources WHERE kind = ? AND status IN ({marks}) ORDER BY seq",  # noqa: S608
            (kind, *statuses),
        )
        return [row["name"] for row in rows]

    def page(
        self, kind: str, filters: Sequence[tuple[str, Any]], page: Page
    ) -> tuple[list[ResourceRecord], tuple[Any, Any] | None]:
        """One page of the resources of a kind."""
        rows, after = self._database.page("resources", [("kind = ?", kind), *filters], page)
        return [_resource(row) for row in rows], after

    def list_all(self, kind: str, filters: Sequence[tuple[str, Any]] = ()) -> list[ResourceRecord]:
        """Every resource of a kind, newest first."""
        return self.page(kind, filters, _EVERYTHING)[0]


def contains_filter(column: str, text: str) -> tuple[str, str]:
    """The SQL filter for a name that contains a text."""
    return f"instr({column}, ?) > 0", text


def _resource(row: sqlite3.Row) -> ResourceRecord:
    values = {name: row[name] for name in ResourceRecord.__slots__}
    values["document"] = decode_document(row["document"])
    return ResourceRecord(**values)
