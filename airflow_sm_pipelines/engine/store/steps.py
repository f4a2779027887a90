"""The steps of executions in the database. Every status change is checked by ``rules.state``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS, JobKind
from airflow_sm_pipelines.engine.rules.state import check_step_change
from airflow_sm_pipelines.engine.store.documents import decode_document, encode_document

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.engine.rules.fan_out import Iteration
    from airflow_sm_pipelines.engine.store.database import EngineDatabase, Page

_MAX_VARIABLES = 900
"""Old versions of SQLite take at most 999 variables in a statement."""


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One scheduled step of an execution.

    :param metadata: the ``Metadata`` in the answer of ListPipelineExecutionSteps.
    :param properties: what property paths find, if these are not the properties of a resource.
    :param cache_source: the ARN of the execution whose result was taken instead of running.
    :param selective_source: the ARN of the execution from which a step outside the selection was taken over.
    :param attempt: how often the step was started; RetryPipelineExecution and restarts after a crash count too.
    :param items: the items of a ForEach step, once they are known.
    :param parent: the ForEach step that made this step for its item ``item``, number ``iteration``.
    :param callback_token: the token that a Callback step waits for.
    :param callback_sent: the status in the last message that a Callback step sent.
    :param retry_at_ms: when the next attempt begins, while the step waits for it.
    :param retries: how many attempts each of its retry policies has caused.
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
    items: list[JsonValue] | None
    parent: str | None
    iteration: int | None
    item: JsonValue
    callback_token: str | None
    callback_sent: str | None
    retry_at_ms: int | None
    retries: list[int] | None

    @property
    def job(self) -> tuple[JobKind, str] | None:
        """Kind and name of the job that the step made; None if it made none."""
        kind = JOB_KINDS.get(self.resource_kind or "")
        return (kind, self.resource_name) if kind is not None and self.resource_name else None


class StepTable:
    """Reads and writes steps."""

    def __init__(self, database: EngineDatabase) -> None:
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

    def statuses_of(self, execution_id: str, names: Iterable[str]) -> dict[str, StepStatus]:
        """The present statuses of these steps."""
        found: dict[str, StepStatus] = {}
        pending = list(names)
        while pending:
            part, pending = pending[:_MAX_VARIABLES], pending[_MAX_VARIABLES:]
            marks = ", ".join("?" * len(part))
            rows = self._database.rows(
                f"SELECT name, status FROM steps WHERE execution_id = ? AND name IN ({marks})"  # noqa: S608
                " AND status IS NOT NULL",
                (execution_id, *part),
            )
            found.update((row["name"], StepStatus(row["status"])) for row in rows)
        return found

    def statuses(self, execution_id: str) -> dict[str, StepStatus]:
        """The status of every scheduled step."""
        rows = self._database.rows(
            "SELECT name, status FROM steps WHERE execution_id = ? AND status IS NOT NULL ORDER BY seq", (execution_id,)
        )
        return {row["name"]: StepStatus(row["status"]) for row in rows}

    def start(
        self,
        execution_id: str,
        names: Iterable[str],
        *,
        now_ms: int,
        iterations: Mapping[str, Iteration] | None = None,
    ) -> None:
        """Schedule steps: they become Starting, with one more attempt.

        :param iterations: the iterations of the steps that ForEach steps made.
        """
        with self._database.transaction():
            for name in names:
                of = (iterations or {}).get(name)
                iteration = (of.parent, of.index, encode_document(of.item)) if of else (None, None, None)
                self._database.execute(
                    "INSERT INTO steps (execution_id, name, status, started_ms, metadata, attempt, parent, iteration,"
                    " item) VALUES (?, ?, 'Starting', ?, '{}', 1, ?, ?, ?)"
                    " ON CONFLICT (execution_id, name) DO UPDATE SET"
                    " status = 'Starting', started_ms = excluded.started_ms, attempt = attempt + 1",
                    (execution_id, name, now_ms, *iteration),
                )

    def take_over(self, execution_id: str, names: Iterable[str], *, source_id: str, source_arn: str) -> None:
        """Copy ended steps of another execution, and mark where they come from."""
        with self._database.transaction():
            for name in names:
                self._database.execute(
                    "INSERT INTO steps (execution_id, name, status, started_ms, ended_ms, metadata, properties,"
                    " resource_kind, resource_name, attempt, items, parent, iteration, item, selective_source)"
                    " SELECT ?, name, status, started_ms, ended_ms, metadata, properties, resource_kind, resource_name,"
                    " attempt, items, parent, iteration, item, ? FROM steps"
                    " WHERE execution_id = ? AND (name = ? OR parent = ?) AND status IS NOT NULL",
                    (execution_id, source_arn, source_id, name, name),
                )

    def change_status(self, execution_id: str, name: str, status: StepStatus, **columns: Any) -> None:
        """Move a step to another status, and change other columns with it.

        :raises StateError: this change is not allowed.
        """
        with self._database.transaction():
            record = self.find(execution_id, name)
            if record is None:
                raise LookupError(f"Step '{name}' of execution '{execution_id}' is not scheduled.")
            if record.status is not status:
                check_step_change(record.status, status)
            for document in ("metadata", "properties", "items", "retries"):
                if columns.get(document) is not None:
                    columns[document] = encode_document(columns[document])
            self._database.update(
                "steps", {"status": status.value, **columns}, "execution_id = ? AND name = ?", (execution_id, name)
            )

    def update(self, execution_id: str, name: str, **columns: Any) -> None:
        """Change columns of a step other than its status and its documents."""
        self._database.update("steps", columns, "execution_id = ? AND name = ?", (execution_id, name))

    def pending_retries(self, execution_id: str) -> dict[str, int]:
        """The steps that wait for their next attempt, and when it begins, in epoch ms."""
        rows = self._database.rows(
            "SELECT name, retry_at_ms FROM steps WHERE execution_id = ? AND retry_at_ms IS NOT NULL", (execution_id,)
        )
        return {row["name"]: row["retry_at_ms"] for row in rows}

    def begin_retry(self, execution_id: str, name: str) -> None:
        """Begin the next attempt of a step that waited for it. What the last attempt made is no longer the step's."""
        with self._database.transaction():
            self._database.execute(
                "UPDATE steps SET retry_at_ms = NULL, metadata = '{}', resource_kind = NULL, resource_name = NULL,"
                " cache_key = NULL, callback_token = NULL, callback_sent = NULL, failure_reason = NULL"
                " WHERE execution_id = ? AND name = ?",
                (execution_id, name),
            )
            self.restart(execution_id, name, attempts=1)

    def find_callback(self, token: str) -> StepRecord | None:
        """The scheduled step that waits for this token, or waited for it."""
        row = self._database.row("SELECT * FROM steps WHERE callback_token = ? AND status IS NOT NULL", (token,))
        return _step(row) if row else None

    def restart(self, execution_id: str, name: str, *, attempts: int) -> None:
        """Begin a step again that was open when the engine ended: it becomes Starting.

        :param attempts: how many attempts more it has: 1 if it runs again, 0 if only its end is to be recorded.
        """
        with self._database.transaction():
            self.change_status(execution_id, name, StepStatus.STARTING)
            self._database.execute(
                "UPDATE steps SET attempt = attempt + ? WHERE execution_id = ? AND name = ?",
                (attempts, execution_id, name),
            )

    def reset(self, execution_id: str, names: Iterable[str]) -> None:
        """Make steps unscheduled again; only their number of attempts stays."""
        with self._database.transaction():
            for name in names:
                self._database.execute(
                    "UPDATE steps SET status = NULL, started_ms = NULL, ended_ms = NULL, failure_reason = NULL,"
                    " metadata = '{}', properties = NULL, resource_kind = NULL, resource_name = NULL,"
                    " cache_key = NULL, cache_source = NULL, callback_token = NULL, callback_sent = NULL,"
                    " retry_at_ms = NULL, retries = NULL"
                    " WHERE execution_id = ? AND name = ?",
                    (execution_id, name),
                )

    def recorded_items(self, execution_id: str, name: str) -> list[JsonValue] | None:
        """The items that a ForEach step had when it ran last, even if it is to run again."""
        row = self._database.row("SELECT items FROM steps WHERE execution_id = ? AND name = ?", (execution_id, name))
        items: list[JsonValue] | None = decode_document(row["items"]) if row and row["items"] is not None else None
        return items

    def forget_iterations(self, execution_id: str, parent: str) -> None:
        """Drop the items of a ForEach step and all steps it made for them."""
        with self._database.transaction():
            self._database.execute("DELETE FROM steps WHERE execution_id = ? AND parent = ?", (execution_id, parent))
            self._database.update("steps", {"items": None}, "execution_id = ? AND name = ?", (execution_id, parent))

    def find_cached(self, pipeline: str, name: str, *, cache_key: str, since_ms: int) -> tuple[StepRecord, str] | None:
        """The newest successful run of a step in this pipeline with this key, and the ARN of its execution.

        :param since_ms: it must have ended then or later.
        """
        # The plus keeps SQLite from using the index by name, which leads to all steps of that name.
        row = self._database.row(
            "SELECT steps.*, executions.arn AS source FROM steps"
            " JOIN executions ON executions.id = steps.execution_id"
            " LEFT JOIN resources ON resources.kind = steps.resource_kind AND resources.name = steps.resource_name"
            " WHERE cache_key = ? AND +steps.name = ? AND executions.pipeline = ? AND steps.status = 'Succeeded'"
            " AND (steps.resource_name IS NULL OR resources.name IS NOT NULL)"
            " AND cache_source IS NULL AND selective_source IS NULL AND ended_ms >= ? ORDER BY ended_ms DESC LIMIT 1",
            (cache_key, name, pipeline, since_ms),
        )
        return (_step(row), row["source"]) if row else None

    def find_last_cacheable(self, pipeline: str, name: str) -> tuple[StepRecord, str, str] | None:
        """The newest successful run of a step that others may take, its cache key, and the ARN of its execution."""
        row = self._database.row(
            "SELECT steps.*, executions.arn AS source FROM steps"
            " JOIN executions ON executions.id = steps.execution_id"
            " JOIN resources ON resources.kind = steps.resource_kind AND resources.name = steps.resource_name"
            " WHERE cache_key IS NOT NULL AND steps.name = ? AND executions.pipeline = ?"
            " AND steps.status = 'Succeeded' AND cache_source IS NULL AND selective_source IS NULL"
            " ORDER BY ended_ms DESC LIMIT 1",
            (name, pipeline),
        )
        return (_step(row), row["cache_key"], row["source"]) if row else None

    def page(self, execution_id: str, page: Page) -> tuple[list[StepRecord], tuple[Any, Any] | None]:
        """One page of the scheduled steps of an execution."""
        # started_ms > ? leaves unscheduled rows out, and lets the index answer.
        rows, after = self._database.page("steps", [("execution_id = ?", execution_id), ("started_ms > ?", -1)], page)
        return [_step(row) for row in rows], after


def _step(row: sqlite3.Row) -> StepRecord:
    values = {name: row[name] for name in StepRecord.__slots__}
    values["status"] = StepStatus(row["status"])
    values["metadata"] = decode_document(row["metadata"])
    for document in ("properties", "items", "item", "retries"):
        values[document] = decode_document(row[document]) if row[document] is not None else None
    return StepRecord(**values)
