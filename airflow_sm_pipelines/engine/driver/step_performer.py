"""Performs single steps: gives the executor its task, and records how the step went on and ended.

Runs in a worker's thread, or in the driver's for instant steps. When to perform a step is the runner's business.
"""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import StepReference
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.driver.execution_scope import ScopeFactory
from airflow_sm_pipelines.engine.driver.fault_injection import find_fault
from airflow_sm_pipelines.engine.jobs.job_host import Interrupted
from airflow_sm_pipelines.engine.registry.experiments import ensure_trial
from airflow_sm_pipelines.engine.rules.errors import StepError, StepFault
from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS
from airflow_sm_pipelines.engine.rules.resolver import resolve_reference
from airflow_sm_pipelines.engine.rules.resource_names import (
    JOB_SUFFIX_ALPHABET,
    JOB_SUFFIX_LENGTH,
    ArnFactory,
    step_resource_name,
)
from airflow_sm_pipelines.engine.rules.retry_policy import (
    EXCEPTION_REASONS,
    JOB_INTERNAL_ERROR,
    SERVICE_FAULT,
    classify_failure,
    plan_retry,
)
from airflow_sm_pipelines.engine.steps import StepOutcome, StepTask
from airflow_sm_pipelines.engine.steps.callback import send_callback_message
from airflow_sm_pipelines.engine.steps.for_each import sum_up
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from airflow_sm_pipelines.engine.driver.open_execution import LiveExecution
    from airflow_sm_pipelines.engine.jobs.job_host import JobHost
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.steps import StepExecutor
    from airflow_sm_pipelines.engine.store import ExecutionRecord, StepRecord, Store

_LOG = logging.getLogger(__name__)
_MAX_REASON = 1024
STORE_RETRY_SECONDS = 1.0
"""How long to wait before writing again what could not be written."""


class StepPerformer:
    """Performs steps and records them.

    :param shutdown: set when the engine shuts down.
    :param wake: called with the execution's id and the step's name after each end of a step.
    """

    def __init__(
        self,
        store: Store,
        services: EngineServices,
        jobs: JobHost,
        *,
        shutdown: threading.Event,
        wake: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._services = services
        self._jobs = jobs
        self._arns = ArnFactory(services.region, services.account_id)
        self._shutdown = shutdown
        self._wake = wake

    def new_task(
        self, execution: ExecutionRecord, live: LiveExecution, name: str, *, stop: threading.Event
    ) -> StepTask:
        """The task of a scheduled step.

        :param stop: set when the step is asked to stop.
        """
        record = self._store.steps.find(execution.id, name)
        made = record.resource_name if record is not None else None
        step, iteration = live.find_step(name)
        definition = live.parsed.definition
        scopes = ScopeFactory(self._store, self._services, self._arns, execution, definition, iteration)
        suffix = self._services.new_id(JOB_SUFFIX_LENGTH, JOB_SUFFIX_ALPHABET)

        def mark_executing(*, resource: tuple[str, str] | None = None, **given: Any) -> StepStatus:
            columns = {column: value for column, value in given.items() if value is not None}
            if resource is not None:
                columns["resource_kind"], columns["resource_name"] = resource
            with self._store.transaction():
                current = self._store.steps.find(execution.id, name)
                # A stop may have come first; the step stays Stopping then.
                stopping = current is not None and current.status is StepStatus.STOPPING
                status = StepStatus.STOPPING if stopping else StepStatus.EXECUTING
                self._store.steps.change_status(execution.id, name, status, **columns)
            return status

        return StepTask(
            execution_id=execution.id,
            pipeline=execution.pipeline,
            step=step,
            new_scope=scopes.make,
            new_name=made or step_resource_name(step.type, execution.id, name, suffix),
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
        """Perform one step and record its end.

        :return: None if it has not ended: it goes on without a worker, will be tried again, or the engine shut down.
        """
        name = task.step.name
        if self._shutdown.is_set():
            return None
        exception_type: str | None = None
        is_retried_by_default = False
        outcome: StepOutcome | None
        try:
            self._inject_fault(task)
            prepared = executor.prepare(task)
            if executor.is_instant:
                with self._store.transaction():
                    outcome = executor.run(task, prepared)
                    if outcome is not None:
                        self.finish(task.execution_id, name, outcome)
                return outcome
            outcome = executor.run(task, prepared)
            if outcome is None or (self._shutdown.is_set() and outcome.status is StepStatus.STOPPED):
                return None
            if outcome.status is StepStatus.FAILED:
                exception_type = classify_failure(outcome.failure_reason, step_type=task.step.type)
        except Interrupted:
            return None
        except StepFault as fault:
            exception_type, is_retried_by_default = fault.exception_type, True
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=str(fault))
        except StepError as error:
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=str(error))
        except Exception as error:
            _LOG.exception("Step %s of execution %s failed in the engine", name, task.execution_id)
            reason = f"InternalServerError: {type(error).__name__}: {error}"
            has_job = self._fail_resource(task, reason)
            exception_type = JOB_INTERNAL_ERROR if has_job else SERVICE_FAULT
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=reason)
        if exception_type is not None and self._plan_retry(
            task, exception_type, outcome.failure_reason, is_retried_by_default=is_retried_by_default
        ):
            return None
        self._finish_surely(task.execution_id, name, outcome)
        return outcome

    def _inject_fault(self, task: StepTask) -> None:
        if self._services.faults_file is None:
            return
        record = self._store.steps.find(task.execution_id, task.step.name)
        exception_type = find_fault(
            self._services.faults_file,
            pipeline=task.pipeline,
            step=task.step.name,
            attempt=record.attempt if record is not None else 1,
        )
        if exception_type is not None:
            raise StepFault(exception_type, EXCEPTION_REASONS[exception_type])

    def _plan_retry(
        self, task: StepTask, exception_type: str, reason: str | None, *, is_retried_by_default: bool
    ) -> bool:
        """Have a failed step tried again if a policy says so; whether one does."""
        with self._store.transaction():
            record = self._store.steps.find(task.execution_id, task.step.name)
            if record is None or record.status not in (StepStatus.STARTING, StepStatus.EXECUTING):
                return False
            plan = plan_retry(
                task.step.retry_policies,
                exception_type,
                counts=record.retries or (),
                started_ms=record.started_ms,
                now_ms=self._now_ms(),
                is_retried_by_default=is_retried_by_default,
            )
            if plan is None:
                return False
            self._store.steps.change_status(
                task.execution_id,
                task.step.name,
                StepStatus.EXECUTING,
                retry_at_ms=plan.at_ms,
                retries=plan.counts,
                failure_reason=reason,
            )
        self._wake(task.execution_id, task.step.name)
        return True

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

    def _fail_resource(self, task: StepTask, reason: str) -> bool:
        record = self._store.steps.find(task.execution_id, task.step.name)
        if record and record.resource_kind and record.resource_name and record.resource_kind in JOB_KINDS:
            self._jobs.fail(JOB_KINDS[record.resource_kind], record.resource_name, reason)
            return True
        return False

    def end_for_each(self, execution: ExecutionRecord, live: LiveExecution, name: str, status: StepStatus) -> None:
        """Record the end of a ForEach step whose iterations are over."""
        fan_out = live.fan_outs[name]
        known = live.schedule.statuses
        statuses = {child: known[child] for child in fan_out.graph.order if child in known}
        scope = ScopeFactory(self._store, self._services, self._arns, execution, live.parsed.definition).make()
        outcome = sum_up(
            fan_out, status, statuses, lambda step, path: resolve_reference(StepReference(step, path), scope)
        )
        self.finish(execution.id, name, outcome)

    def ensure_trial(self, execution: ExecutionRecord) -> None:
        """Make the execution's experiment and trial; an execution goes on without them."""
        experiment = execution.experiment.get("ExperimentName") or execution.pipeline
        trial = execution.experiment.get("TrialName") or execution.id
        try:
            with self._store.transaction():
                ensure_trial(self._store, self._arns, str(experiment), str(trial), now=self._services.clock())
        except Exception:
            _LOG.exception("The trial %s of experiment %s could not be made", trial, experiment)

    def announce_stop(self, execution: ExecutionRecord, step: StepRecord) -> None:
        """Tell whoever got a Callback step's message that the step is to stop."""
        try:
            send_callback_message(self._store, self._services, execution, step, status="Stopping")
        except StepError as error:
            # Nobody can answer what nobody can be told.
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=str(error), properties={})
            self._finish_surely(execution.id, step.name, outcome)

    def finish(self, execution_id: str, name: str, outcome: StepOutcome) -> None:
        """Record the end of a step, and wake its execution."""
        columns: dict[str, Any] = {
            "ended_ms": self._now_ms(),
            "failure_reason": outcome.failure_reason[:_MAX_REASON] if outcome.failure_reason else None,
            "retry_at_ms": None,
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
        self._wake(execution_id, name)

    def _now_ms(self) -> int:
        return to_ms(self._services.clock())
