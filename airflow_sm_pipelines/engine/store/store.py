"""The store: the tables of one state directory together, and the lock that keeps it to one engine."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.store.database import Database
from airflow_sm_pipelines.engine.store.executions import ExecutionTable
from airflow_sm_pipelines.engine.store.ledger import Ledger
from airflow_sm_pipelines.engine.store.pipelines import PipelineTable
from airflow_sm_pipelines.engine.store.resources import ResourceTable
from airflow_sm_pipelines.engine.store.status_changes import EventTable
from airflow_sm_pipelines.engine.store.steps import StepTable
from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Store:
    """Everything the engine keeps, in ``<state_dir>/engine.db``.

    :param state_dir: made if it is not there.
    :raises LocalEndpointError: if the directory cannot be used, or another engine uses it.
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
            self._database = Database(state_dir / "engine.db")
        except LocalEndpointError:
            os.close(self._lock)
            raise
        self.pipelines = PipelineTable(self._database)
        self.executions = ExecutionTable(self._database)
        self.steps = StepTable(self._database)
        self.resources = ResourceTable(self._database)
        self.ledger = Ledger(self._database)
        self.events = EventTable(self._database)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing for every table."""
        with self._database.transaction():
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Several reads of one state, whatever others do meanwhile; brief, since they wait."""
        with self._database.snapshot():
            yield

    def on_commit(self, call: Callable[[], None] | None) -> None:
        """Have something brief called after each transaction."""
        self._database.on_commit = call

    def close(self) -> None:
        """Close the file and give up the directory."""
        self._database.close()
        os.close(self._lock)
