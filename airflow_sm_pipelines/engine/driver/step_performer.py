"""Performs single steps: gives the executor its task, and records how the step goes on and ends.

It runs in the thread of a worker, and for instant steps in the driver's. The runner decides when to perform a step.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_sm_pipelines.definition import StepReference
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.driver.execution_scope import ScopeFactory
from airflow_sm_pipelines.engine.driver.fault_injection import find_fault
from airflow_sm_pipelines.engine.registry.experiments import ensure_trial
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS, Interrupted, StepError, StepFault
from airflow_sm_pipelines.engine.rules.resolver import resolve_reference
from airflow_sm_pipelines.engine.rules.resource_names import (
    JOB_SUFFIX_ALPHABET,
    JOB_SUFFIX_LENGTH,
    ArnFactory,
    step_resource_name,
    trial_names,
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
from airflow_sm_pipelines.engine.steps.for_each import summarize_iterations

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.engine.driver.open_execution import OpenExecution
    from airflow_sm_pipelines.engine.jobs.endpoint_host import EndpointHost
    from airflow_sm_pipelines.engine.jobs.job_host import JobHost
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.steps import StepExecutor
    from airflow_sm_pipelines.engine.store import ExecutionRecord, StepRecord, Store

_LOG = logging.getLogger(__name__)


class StepTimes:
    """Gives times in milliseconds: a step that starts after another one has ended starts at a later one.

    On SageMaker a second lies between the two, and clients rely on it (aws/sagemaker-python-sdk, tests/integ,
    test_monitor_batch_transform_step). Here less than a millisecond may.

    :param now_ms: reads the clock.
    """

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._lock = threading.Lock()
        self._last_start = self._last_end = 0

    def start_ms(self) -> int:
        """When a step starts now."""
        with self._lock:
            self._last_start = max(self._now_ms(), self._last_end + 1)
            return self._last_start

    def end_ms(self) -> int:
        """When a step ends now; no earlier than any step has started."""
        with self._lock:
            self._last_end = max(self._now_ms(), self._last_start)
            return self._last_end


class _Failure(NamedTuple):
    """How an attempt of a step failed.

    :param exception_type: the name that retry policies have for it; None if none can name it.
    :param is_retried_by_default: whether the service's own policy applies too.
    """

    outcome: StepOutcome
    exception_type: str | None = None
    is_retried_by_default: bool = False


class StepPerformer:
    """Performs steps and records them.

    :param shutdown: set when the engine shuts down.
    :param wake: called with the id of the execution and the name of the step after each end of a step.
    :param begin_again: called with the same for a step whose state could not be written before it ran.
    :ivar times: when steps start and end.
    """

    def __init__(
        self,
        store: Store,
        services: EngineServices,
        jobs: JobHost,
        endpoints: EndpointHost,
        *,
        shutdown: threading.Event,
        wake: Callable[[str, str], None],
        begin_again: Callable[[str, str], None],
    ) -> None:
        self._store = store
        self._services = services
        self._jobs = jobs
        self._endpoints = endpoints
        self._arns = ArnFactory(services.region, services.account_id)
        self._shutdown = shutdown
        self._wake = wake
        self._begin_again = begin_again
        self.times = StepTimes(services.now_ms)

    def new_task(
        self, execution: ExecutionRecord, opened: OpenExecution, name: str, *, stop: threading.Event
    ) -> StepTask:
        """The task of a scheduled step.

        :param stop: set when the step is asked to stop.
        """
        record = self._store.steps.find(execution.id, name)
        made = record.resource_name if record is not None else None
        step, iteration = opened.find_step(name)
        definition = opened.parsed.definition
        scopes = ScopeFactory(self._store, self._services, self._arns, execution, definition, iteration)
        suffix = self._services.new_id(JOB_SUFFIX_LENGTH, JOB_SUFFIX_ALPHABET)

        def mark_executing(*, resource: tuple[str, str] | None = None, **given: Any) -> StepStatus:
            columns = {column: value for column, value in given.items() if value is not None}
            if resource is not None:
                columns["resource_kind"], columns["resource_name"] = resource
            with self._store.transaction():
                current = self._store.steps.find(execution.id, name)
                # A stop may have come first; then the step stays Stopping.
                is_stopping = current is not None and current.status is StepStatus.STOPPING
                status = StepStatus.STOPPING if is_stopping else StepStatus.EXECUTING
                self._store.steps.change_status(execution.id, name, status, **columns)
            return status

        return StepTask(
            execution_id=execution.id,
            pipeline=execution.pipeline,
            step=step,
            new_scope=scopes.make,
            new_name=made
            or step_resource_name(
                step.type, execution.id, name, suffix, given=step.arguments.get(f"{step.type}JobName")
            ),
            has_resource=made is not None,
            stop=stop,
            shutdown=self._shutdown,
            store=self._store,
            services=self._services,
            arns=self._arns,
            jobs=self._jobs,
            endpoints=self._endpoints,
            mark_executing=mark_executing,
        )

    def perform(self, executor: StepExecutor, task: StepTask) -> StepOutcome | None:
        """Perform one step and record its end.

        :return: None if the step has not ended: it goes on without a worker, will be tried again, or the engine shuts
            down.
        """
        if self._shutdown.is_set():
            return None
        failure: _Failure | None = None
        try:
            self._inject_fault(task)
            prepared = executor.prepare(task)
            if executor.is_instant:
                return self._run_instant(executor, task, prepared)
            outcome = executor.run(task, prepared)
            if outcome is None or (self._shutdown.is_set() and outcome.status is StepStatus.STOPPED):
                return None
            if outcome.status is StepStatus.FAILED:
                failure = _Failure(outcome, classify_failure(outcome.failure_reason, step_type=task.step.type))
        except Interrupted:
            return None
        except sqlite3.OperationalError as error:
            # The disk may be full. The step has not ended, so it begins again when there is room.
            _LOG.warning("Step %s of execution %s waits: %s", task.step.name, task.execution_id, error)
            self._begin_again(task.execution_id, task.step.name)
            return None
        except Exception as error:  # noqa: BLE001 - what goes wrong in the engine fails the step, not the worker
            failure = self._failure_of(task, error)
            outcome = failure.outcome
        with suppress(Interrupted):
            if failure is not None and self._jobs.write_surely(lambda: self._plan_retry(task, failure)):
                return None
            self._jobs.write_surely(lambda: self.finish(task.execution_id, task.step.name, outcome))
            return outcome
        return None

    def end_for_each(self, execution: ExecutionRecord, opened: OpenExecution, name: str, status: StepStatus) -> None:
        """Record the end of a ForEach step whose iterations are over."""
        fan_out = opened.fan_outs[name]
        known = opened.schedule.statuses
        statuses = {child: known[child] for child in fan_out.graph.order if child in known}
        scope = ScopeFactory(self._store, self._services, self._arns, execution, opened.parsed.definition).make()
        outcome = summarize_iterations(
            fan_out, status, statuses, lambda step, path: resolve_reference(StepReference(step, path), scope)
        )
        self.finish(execution.id, name, outcome)

    def ensure_trial(self, execution: ExecutionRecord) -> None:
        """Make the experiment and trial of an execution. If that fails, the execution goes on without them."""
        names = trial_names(execution.experiment, pipeline=execution.pipeline, execution_id=execution.id)
        try:
            with self._store.transaction():
                ensure_trial(self._store, self._arns, *names, now=self._services.clock())
        except Exception:  # noqa: BLE001 - an execution does not need its trial
            _LOG.exception("The trial of experiment %s, %s, could not be made", *names)

    def announce_stop(self, execution: ExecutionRecord, step: StepRecord) -> None:
        """Tell the receiver of a Callback step's message that the step is to stop."""
        try:
            send_callback_message(self._store, self._services, execution, step, status="Stopping")
        except StepError as error:
            # Nobody was told, so nobody will answer.
            outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=str(error), properties={})
            with suppress(Interrupted):
                self._jobs.write_surely(lambda: self.finish(execution.id, step.name, outcome))

    def finish(self, execution_id: str, name: str, outcome: StepOutcome) -> None:
        """Record the end of a step, and wake its execution."""
        reason = outcome.failure_reason
        columns: dict[str, Any] = {
            "ended_ms": self.times.end_ms(),
            "failure_reason": reason[:MAX_REASON_CHARACTERS] if reason else None,
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

    def _run_instant(self, executor: StepExecutor, task: StepTask, prepared: Any) -> StepOutcome | None:
        with self._store.transaction():
            outcome = executor.run(task, prepared)
            if outcome is not None:
                self.finish(task.execution_id, task.step.name, outcome)
        return outcome

    def _failure_of(self, task: StepTask, error: Exception) -> _Failure:
        outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=str(error))
        if isinstance(error, StepFault):
            return _Failure(outcome, error.exception_type, is_retried_by_default=True)
        if isinstance(error, StepError):
            return _Failure(outcome)
        name = task.step.name
        _LOG.error("Step %s of execution %s failed in the engine", name, task.execution_id, exc_info=error)
        reason = f"InternalServerError: {type(error).__name__}: {error}"
        record = self._store.steps.find(task.execution_id, name)
        job = record.job if record is not None else None
        if job is not None:
            self._jobs.fail(*job, reason)
        return _Failure(
            replace(outcome, failure_reason=reason), JOB_INTERNAL_ERROR if job is not None else SERVICE_FAULT
        )

    def _plan_retry(self, task: StepTask, failure: _Failure) -> bool:
        """Schedule another attempt of a failed step if a policy asks for it, and tell whether one does."""
        if failure.exception_type is None:
            return False
        with self._store.transaction():
            record = self._store.steps.find(task.execution_id, task.step.name)
            if record is None or record.status not in (StepStatus.STARTING, StepStatus.EXECUTING):
                return False
            plan = plan_retry(
                task.step.retry_policies,
                failure.exception_type,
                counts=record.retries or (),
                started_ms=record.started_ms,
                now_ms=self._services.now_ms(),
                is_retried_by_default=failure.is_retried_by_default,
            )
            if plan is None:
                return False
            self._store.steps.change_status(
                task.execution_id,
                task.step.name,
                StepStatus.EXECUTING,
                retry_at_ms=plan.at_ms,
                retries=plan.counts,
                failure_reason=failure.outcome.failure_reason,
            )
        self._wake(task.execution_id, task.step.name)
        return True
