"""All tables of a state directory, and the lock that lets only one engine use the directory."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.database import EngineDatabase
from airflow_sm_pipelines.engine.store.documents import to_ms
from airflow_sm_pipelines.engine.store.executions import ExecutionTable
from airflow_sm_pipelines.engine.store.pipelines import PipelineTable
from airflow_sm_pipelines.engine.store.request_tokens import RequestTokenTable
from airflow_sm_pipelines.engine.store.resources import ResourceRecord, ResourceTable
from airflow_sm_pipelines.engine.store.status_changes import StatusChangeTable
from airflow_sm_pipelines.engine.store.steps import StepTable
from airflow_sm_pipelines.engine.store.tags import TagTable
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path


class Store:
    """Everything the engine keeps, in ``<state_dir>/engine.db``.

    :param state_dir: made if it does not exist.
    :raises LocalEndpointError: the directory cannot be used, or another engine uses it.
    """

    def __init__(self, state_dir: Path) -> None:
        try:
            state_dir.mkdir(parents=True, exist_ok=True)
            # The lock goes with the process, however it ends.
            self._lock = os.open(state_dir / "engine.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LocalEndpointError(
                f"The state directory {state_dir} cannot be used: {error.strerror or error}."
                " Name one that can be written."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LocalEndpointError(
                f"The state directory {state_dir} is in use by another local endpoint: stop that one, or name another"
                " directory."
            ) from error
        try:
            self._database = EngineDatabase(state_dir / "engine.db")
        except LocalEndpointError:
            os.close(self._lock)
            raise
        self.pipelines = PipelineTable(self._database)
        self.executions = ExecutionTable(self._database)
        self.steps = StepTable(self._database)
        self.resources = ResourceTable(self._database)
        self.request_tokens = RequestTokenTable(self._database)
        self.tags = TagTable(self._database)
        self.status_changes = StatusChangeTable(self._database)

    def add_resource(
        self,
        kind: str,
        name: str,
        arn: str,
        document: dict[str, Any],
        *,
        now: datetime,
        tags: Sequence[Mapping[str, Any]] | None = None,
        status: str | None = None,
        family: str | None = None,
        version: int | None = None,
    ) -> ResourceRecord:
        """Keep a new resource with its tags; what each member means stands at :class:`ResourceRecord`."""
        moment = to_ms(now)
        record = ResourceRecord(kind, name, arn, status, family, version, document, moment, moment)
        self.resources.add(record)
        self.tags.add(arn, tags or ())
        return record

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write all or nothing, in every table."""
        with self._database.transaction():
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one state. Others wait meanwhile, so be brief."""
        with self._database.snapshot():
            yield

    def on_commit(self, call: Callable[[], None] | None) -> None:
        """Have a function called after each transaction; it must be brief."""
        self._database.on_commit = call

    def close(self) -> None:
        """Close the file and release the directory."""
        self._database.close()
        os.close(self._lock)
