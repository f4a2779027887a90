"""Status changes that are not published yet. Triggers of the database write them, so none can be forgotten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.store.documents import decode_document

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.engine.store.database import EngineDatabase


@dataclass(frozen=True, slots=True)
class StatusChangeRecord:
    """One change of the status of an execution, or of a step if ``step`` is not None.

    :param previous: None for the first status.
    :param parent: the ForEach step that made the step.
    :param at_ms: when it happened.
    """

    seq: int
    execution_id: str
    step: str | None
    parent: str | None
    previous: str | None
    current: str
    at_ms: int
    started_ms: int
    ended_ms: int | None
    failure_reason: str | None
    metadata: JsonObject
    cache_source: str | None


@dataclass(frozen=True, slots=True)
class ResourceChangeRecord:
    """One change of the status of a job, or of the approval of a model package.

    :param document: its Describe answer at that moment, and what only the engine reads.
    :param at_ms: when it happened.
    """

    seq: int
    kind: str
    arn: str
    document: JsonObject
    at_ms: int


class StatusChangeTable:
    """Reads and drops status changes."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def first(self, count: int) -> list[StatusChangeRecord]:
        """The oldest changes."""
        changes = []
        for row in self._database.rows("SELECT * FROM events ORDER BY seq LIMIT ?", (count,)):
            values = {name: row[name] for name in StatusChangeRecord.__slots__}
            changes.append(StatusChangeRecord(**{**values, "metadata": decode_document(row["metadata"] or "{}")}))
        return changes

    def first_of_resources(self, count: int) -> list[ResourceChangeRecord]:
        """The oldest changes of jobs and model packages."""
        changes = []
        for row in self._database.rows("SELECT * FROM resource_events ORDER BY seq LIMIT ?", (count,)):
            values = {name: row[name] for name in ResourceChangeRecord.__slots__}
            changes.append(ResourceChangeRecord(**{**values, "document": decode_document(row["document"])}))
        return changes

    def drop_of_resources(self, last_seq: int) -> None:
        """Drop all changes of jobs and model packages up to this one."""
        self._database.execute("DELETE FROM resource_events WHERE seq <= ?", (last_seq,))

    def drop(self, last_seq: int) -> None:
        """Drop all changes up to this one."""
        self._database.execute("DELETE FROM events WHERE seq <= ?", (last_seq,))
