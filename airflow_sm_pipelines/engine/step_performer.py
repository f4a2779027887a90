"""Performs single steps: gives the executor its task, and records how the step went on and ended.

Runs in a worker's thread, or in the driver's for instant steps. When to perform a step is the runner's business.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.errors import StepError
from airflow_sm_pipelines.engine.execution_scope import ScopeFactory
from airflow_sm_pipelines.engine.job_documents import JOB_KINDS
from airflow_sm_pipelines.engine.job_host import Interrupted
from airflow_sm_pipelines.engine.naming import JOB_SUFFIX_ALPHABET, JOB_SUFFIX_LENGTH, ArnFactory, job_name
from airflow_sm_pipelines.engine.steps import StepOutcome, StepTask
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from airflow_sm_pipelines.engine.definition_cache import ParsedDefinition
    from airflow_sm_pipelines.engine.job_host import JobHost
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.steps import StepExecutor
    from airflow_sm_pipelines.engine.store import ExecutionRecord, Store

_LOG = logging.getLogger(__name__)
_MAX_REASON = 1024
STORE_RETRY_SECONDS = 1.0
"""How long to wait before writing again what could not be written."""


class StepPerformer:
    """Performs steps and records them.

    :param shutdown: set when the engine shuts down.
    :param wake: called with the execution's id after each end of a step.
    """

    def __init__(
        self,
        store: Store,
        services: EngineServices,
        jobs: JobHost,
        *,
        shutdown: threading.Event,
        wake: Callable[[str], None],
    ) -> None:
        self._store = store
        self._services = services
        self._jobs = jobs
        self._arns = ArnFactory(services.region, services.account_id)
        self._shutdown = shutdown
        self._wake = wake

    def new_task(
        self, execution: ExecutionRecord, parsed: ParsedDefinition, name: str, *, stop: threading.Event
    ) -> StepTask:
        """The task of a scheduled step.

        :param stop: set when the step is asked to stop.
        """
        record = self._store.steps.find(execution.id, name)
        made = record.resource_name if record is not None else None
        scopes = ScopeFactory(self._store, self._services, self._arns, execution, parsed.definition)
        suffix = self._services.new_id(JOB_SUFFIX_LENGTH, JOB_SUFFIX_ALPHABET)

        def mark_executing(
            *, metadata: Any = None, resource: tuple[str, str] | None = None, cache_key: str | None = None
        ) -> None:
            columns: dict[str, Any] = {} if metadata is None else {"metadata": metadata}
            if resource is not None:
                columns["resource_kind"], columns["resource_name"] = resource
            if cache_key is not None:
                columns["cache_key"] = cache_key
            with self._store.transaction():
                current = self._store.steps.find(execution.id, name)
                # A stop may have come first; the step stays Stopping then.
                stopping = current is not None and current.status is StepStatus.STOPPING
                status = StepStatus.STOPPING if stopping else StepStatus.EXECUTING
                self._store.steps.change_status(execution.id, name, status, **columns)

        return StepTask(
            execution_id=execution.id,
            pipeline=execution.pipeline,
            step=parsed.graph.nodes[name].step,
            new_scope=scopes.make,
            new_name=made or job_name(execution.id, name, suffix),
            has_resource=made is not None,
            stop=stop,
            shutdown=self._shutdown,
            store=self._store,
            services=self._services,
            arns=self._arns,
            jobs=self._jobs,
            mark_executing=mark_executing,
        )

    def perform(self, executor: StepExecutor, task: StepTask) -> StepOutcome | None:
        """Perform one step and record its end; None if the engine shut down meanwhile."""
        name = task.step.name
        if self._shutdown.is_set():
            return None
        try:
            prepared = executor.prepare(task)
            if executor.is_instant:
                with self._store.transaction():
                    outcome = executor.run(task, prepared)
                    self.finish(task.execution_id, name, outcome)
                return outcome
            outcome = executor.run(task, prepared)
            if self._shutdown.is_set() and outcome.status is StepStatus.STOPPED:
                return None
        except Interrupted:
            return None
        except StepError as error:
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=str(error))
        except Exception as error:
            _LOG.exception("Step %s of execution %s failed in the engine", name, task.execution_id)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            self._fail_resource(task, reason)
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=reason)
        self._finish_surely(task.execution_id, name, outcome)
        return outcome

    def _finish_surely(self, execution_id: str, name: str, outcome: StepOutcome) -> None:
        """Record the end of a step, however long the disk is full: nobody else would."""
        while True:
            try:
                self.finish(execution_id, name, outcome)
            except sqlite3.OperationalError:
                _LOG.exception("The end of step %s of execution %s cannot be written", name, execution_id)
                if self._shutdown.wait(STORE_RETRY_SECONDS):
                    return
            else:
                return

    def _fail_resource(self, task: StepTask, reason: str) -> None:
        record = self._store.steps.find(task.execution_id, task.step.name)
        if record and record.resource_kind and record.resource_name and record.resource_kind in JOB_KINDS:
            self._jobs.fail(JOB_KINDS[record.resource_kind], record.resource_name, reason)

    def finish(self, execution_id: str, name: str, outcome: StepOutcome) -> None:
        """Record the end of a step, and wake its execution."""
        columns: dict[str, Any] = {
            "ended_ms": self._now_ms(),
            "failure_reason": outcome.failure_reason[:_MAX_REASON] if outcome.failure_reason else None,
        }
        if outcome.metadata is not None:
            columns["metadata"] = outcome.metadata
        if outcome.properties is not None:
            columns["properties"] = outcome.properties
        if outcome.resource is not None:
            columns["resource_kind"], columns["resource_name"] = outcome.resource
        if outcome.cache_source is not None:
            columns["cache_source"] = outcome.cache_source
        self._store.steps.change_status(execution_id, name, outcome.status, **columns)
        self._wake(execution_id)

    def _now_ms(self) -> int:
        return to_ms(self._services.clock())
