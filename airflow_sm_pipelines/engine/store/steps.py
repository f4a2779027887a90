"""The steps of executions in the database. Status changes pass through the state machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.state import check_step_change
from airflow_sm_pipelines.engine.store.documents import decode_document, encode_document

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.engine.store.database import Database, Page


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One scheduled step of an execution.

    :param metadata: what ListPipelineExecutionSteps answers as ``Metadata``.
    :param properties: what property paths find, for steps whose properties are not those of a resource.
    :param cache_source: the ARN of the execution whose result stands in for a run.
    :param selective_source: the ARN of the execution that a step outside the selection was taken over from.
    :param attempt: how often the step was started, RetryPipelineExecution and restarts after a crash included.
    """

    execution_id: str
    name: str
    status: StepStatus
    started_ms: int
    ended_ms: int | None
    failure_reason: str | None
    metadata: JsonObject
    properties: JsonObject | None
    resource_kind: str | None
    resource_name: str | None
    attempt: int
    cache_source: str | None
    selective_source: str | None


class StepTable:
    """Reads and writes steps."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, execution_id: str, name: str) -> StepRecord | None:
        """A scheduled step."""
        row = self._database.row(
            "SELECT * FROM steps WHERE execution_id = ? AND name = ? AND status IS NOT NULL", (execution_id, name)
        )
        return _step(row) if row else None

    def all_of(self, execution_id: str) -> list[StepRecord]:
        """All scheduled steps of an execution, in the order they were started."""
        rows = self._database.rows(
            "SELECT * FROM steps WHERE execution_id = ? AND status IS NOT NULL ORDER BY started_ms, seq",
            (execution_id,),
        )
        return [_step(row) for row in rows]

    def statuses(self, execution_id: str) -> dict[str, StepStatus]:
        """The status of every scheduled step."""
        rows = self._database.rows(
            "SELECT name, status FROM steps WHERE execution_id = ? AND status IS NOT NULL ORDER BY seq", (execution_id,)
        )
        return {row["name"]: StepStatus(row["status"]) for row in rows}

    def start(self, execution_id: str, names: Iterable[str], *, now_ms: int) -> None:
        """Schedule steps: they appear as Starting, with one attempt more."""
        with self._database.transaction():
            for name in names:
                self._database.execute(
                    "INSERT INTO steps (execution_id, name, status, started_ms, metadata, attempt)"
                    " VALUES (?, ?, 'Starting', ?, '{}', 1) ON CONFLICT (execution_id, name) DO UPDATE SET"
                    " status = 'Starting', started_ms = excluded.started_ms, attempt = attempt + 1",
                    (execution_id, name, now_ms),
                )

    def take_over(self, execution_id: str, names: Iterable[str], *, source_id: str, source_arn: str) -> None:
        """Copy ended steps of another execution, marked as coming from there."""
        with self._database.transaction():
            for name in names:
                self._database.execute(
                    "INSERT INTO steps (execution_id, name, status, started_ms, ended_ms, metadata, properties,"
                    " resource_kind, resource_name, attempt, selective_source)"
                    " SELECT ?, name, status, started_ms, ended_ms, metadata, properties, resource_kind, resource_name,"
                    " attempt, ? FROM steps WHERE execution_id = ? AND name = ?",
                    (execution_id, source_arn, source_id, name),
                )

    def change_status(self, execution_id: str, name: str, status: StepStatus, **columns: Any) -> None:
        """Move a step to another status, and change other columns with it.

        :raises StateError: if the state machine does not allow it.
        """
        with self._database.transaction():
            record = self.find(execution_id, name)
            if record is None:
                raise LookupError(f"Step '{name}' of execution '{execution_id}' is not scheduled.")
            if record.status is not status:
                check_step_change(record.status, status)
            for document in ("metadata", "properties"):
                if document in columns:
                    columns[document] = encode_document(columns[document])
            self._database.update(
                "steps", {"status": status.value, **columns}, "execution_id = ? AND name = ?", (execution_id, name)
            )

    def restart(self, execution_id: str, name: str) -> None:
        """Begin again a step that was running when the engine ended: Starting, with one attempt more."""
        with self._database.transaction():
            self.change_status(execution_id, name, StepStatus.STARTING)
            self._database.execute(
                "UPDATE steps SET attempt = attempt + 1 WHERE execution_id = ? AND name = ?", (execution_id, name)
            )

    def reset(self, execution_id: str, names: Iterable[str]) -> None:
        """Make steps unscheduled again; only their count of attempts stays."""
        with self._database.transaction():
            for name in names:
                self._database.execute(
                    "UPDATE steps SET status = NULL, started_ms = NULL, ended_ms = NULL, failure_reason = NULL,"
                    " metadata = '{}', properties = NULL, resource_kind = NULL, resource_name = NULL,"
                    " cache_key = NULL, cache_source = NULL"
                    " WHERE execution_id = ? AND name = ?",
                    (execution_id, name),
                )

    def find_cached(self, pipeline: str, name: str, *, cache_key: str, since_ms: int) -> tuple[StepRecord, str] | None:
        """The newest successful run of a step in this pipeline with this key, and the ARN of its execution.

        :param since_ms: how old its end may be.
        """
        row = self._database.row(
            "SELECT steps.*, executions.arn AS source FROM steps"
            " JOIN executions ON executions.id = steps.execution_id"
            " JOIN resources ON resources.kind = steps.resource_kind AND resources.name = steps.resource_name"
            " WHERE cache_key = ? AND steps.name = ? AND executions.pipeline = ? AND steps.status = 'Succeeded'"
            " AND cache_source IS NULL AND selective_source IS NULL AND ended_ms >= ? ORDER BY ended_ms DESC LIMIT 1",
            (cache_key, name, pipeline, since_ms),
        )
        return (_step(row), row["source"]) if row else None

    def page(self, execution_id: str, page: Page) -> tuple[list[StepRecord], tuple[Any, Any] | None]:
        """One page of the scheduled steps of an execution."""
        # started_ms > ? keeps unscheduled rows out and lets the index answer.
        rows, after = self._database.page("steps", [("execution_id = ?", execution_id), ("started_ms > ?", -1)], page)
        return [_step(row) for row in rows], after


def _step(row: sqlite3.Row) -> StepRecord:
    values = {name: row[name] for name in StepRecord.__slots__}
    values["status"] = StepStatus(row["status"])
    values["metadata"] = decode_document(row["metadata"])
    values["properties"] = decode_document(row["properties"]) if row["properties"] is not None else None
    return StepRecord(**values)
