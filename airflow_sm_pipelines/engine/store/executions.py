"""Pipeline executions in the database. Every status change is checked by ``rules.state``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.engine.rules.state import check_execution_change
from airflow_sm_pipelines.engine.store.documents import decode_document, encode_document

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.engine.store.database import EngineDatabase, Page


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """One execution of a pipeline version.

    :param parameters: all parameters of the definition with their typed values.
    :param selection: its SelectiveExecutionConfig, if it has one.
    :param mlflow: its resolved MlflowConfig, if it has one.
    :param experiment: the resolved PipelineExperimentConfig; empty if the definition has none.
    """

    id: str
    arn: str
    pipeline: str
    version: int
    display_name: str
    description: str | None
    status: ExecutionStatus
    failure_reason: str | None
    parameters: dict[str, JsonValue]
    parallelism: int | None
    experiment: dict[str, JsonValue]
    role_arn: str | None
    created_ms: int
    modified_ms: int
    selection: dict[str, JsonValue] | None = None
    mlflow: dict[str, JsonValue] | None = None

    @property
    def selected_steps(self) -> frozenset[str] | None:
        """The only steps that may run; None for all."""
        steps = (self.selection or {}).get("SelectedSteps")
        if not isinstance(steps, list):
            return None
        return frozenset(str(step["StepName"]) for step in steps if isinstance(step, dict))


class ExecutionTable:
    """Reads and writes executions."""

    def __init__(self, database: EngineDatabase) -> None:
        self._database = database

    def find(self, execution_id: str) -> ExecutionRecord | None:
        """The execution of this id."""
        row = self._database.row("SELECT * FROM executions WHERE id = ?", (execution_id,))
        return _execution(row) if row else None

    def add(self, record: ExecutionRecord) -> None:
        """Add an execution, and note on its pipeline and version that it ran."""
        values: dict[str, Any] = {name: getattr(record, name) for name in ExecutionRecord.__slots__}
        values["status"] = record.status.value
        values["parameters"] = encode_document(record.parameters)
        values["experiment"] = encode_document(record.experiment)
        for name in ("selection", "mlflow"):
            values[name] = encode_document(values[name]) if values[name] is not None else None
        with self._database.transaction():
            self._database.insert("executions", values)
            self._database.update("pipelines", {"last_run_ms": record.created_ms}, "name = ?", (record.pipeline,))
            self._database.update(
                "versions",
                {"last_execution_arn": record.arn},
                "pipeline = ? AND version = ?",
                (record.pipeline, record.version),
            )

    def update(self, execution_id: str, values: dict[str, Any]) -> None:
        """Change columns other than the status."""
        self._database.update("executions", values, "id = ?", (execution_id,))

    def change_status(
        self, execution_id: str, status: ExecutionStatus, *, now_ms: int, failure_reason: str | None = None
    ) -> None:
        """Move an execution to another status.

        :raises StateError: this change is not allowed.
        """
        with self._database.transaction():
            record = self.find(execution_id)
            if record is None:
                raise LookupError(f"Execution '{execution_id}' is gone.")
            check_execution_change(record.status, status)
            self.update(execution_id, {"status": status.value, "failure_reason": failure_reason, "modified_ms": now_ms})

    def latest_change_ms(self) -> int:
        """When the last change of an open execution or its steps was recorded, in epoch ms; 0 if none is open."""
        row = self._database.row(
            "SELECT max(max(e.modified_ms), coalesce(max(s.started_ms), 0), coalesce(max(s.ended_ms), 0)) AS latest"
            " FROM executions e LEFT JOIN steps s ON s.execution_id = e.id WHERE e.status IN ('Executing', 'Stopping')"
        )
        return int(row["latest"] or 0) if row is not None else 0

    def open_ids(self, pipeline: str | None = None) -> list[str]:
        """The executions that have not ended, oldest first."""
        sql = "SELECT id FROM executions WHERE status IN ('Executing', 'Stopping')"
        if pipeline is None:
            rows = self._database.rows(f"{sql} ORDER BY seq")
        else:
            rows = self._database.rows(f"{sql} AND pipeline = ? ORDER BY seq", (pipeline,))
        return [row["id"] for row in rows]

    def changed_since(self, since_ms: int) -> list[ExecutionRecord]:
        """The executions whose status has changed since a moment, oldest first."""
        rows = self._database.rows("SELECT * FROM executions WHERE modified_ms >= ? ORDER BY seq", (since_ms,))
        return [_execution(row) for row in rows]

    def page(
        self, filters: Sequence[tuple[str, Any]], page: Page
    ) -> tuple[list[ExecutionRecord], tuple[Any, Any] | None]:
        """One page of executions."""
        rows, after = self._database.page("executions", filters, page)
        return [_execution(row) for row in rows], after


def _execution(row: sqlite3.Row) -> ExecutionRecord:
    values = {name: row[name] for name in ExecutionRecord.__slots__}
    values["status"] = ExecutionStatus(row["status"])
    values["parameters"] = decode_document(row["parameters"])
    values["experiment"] = decode_document(row["experiment"])
    for name in ("selection", "mlflow"):
        values[name] = decode_document(row[name]) if row[name] is not None else None
    return ExecutionRecord(**values)
