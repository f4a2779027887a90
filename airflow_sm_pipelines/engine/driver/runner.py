"""Drives executions: one thread decides, a bounded pool of workers performs what takes time. Nothing else drives.

The driver reads keys from a queue, asks the scheduler what to do, records it and has it done; it performs instant steps
itself. API calls record what they want in the store and wake the driver. So every decision is made in one thread, from
what is in the store, and a decision that is repeated after a crash is the same decision.
"""

from __future__ import annotations

import heapq
import logging
import queue
import sqlite3
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ForEachStep
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.driver.open_execution import OpenExecution
from airflow_sm_pipelines.engine.driver.step_performer import StepPerformer
from airflow_sm_pipelines.engine.jobs.disk_room import RETRY_SECONDS
from airflow_sm_pipelines.engine.jobs.endpoint_host import EndpointHost
from airflow_sm_pipelines.engine.jobs.function import sweep_directories
from airflow_sm_pipelines.engine.jobs.job_directories import JobDirectories
from airflow_sm_pipelines.engine.jobs.job_host import JobHost
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS, Interrupted
from airflow_sm_pipelines.engine.rules.job_documents import JOB_KINDS, JobKind
from airflow_sm_pipelines.engine.steps import StepOutcome, executor_for, step_executors
from airflow_sm_pipelines.engine.steps.lambda_function import OVERRAN

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.engine.driver.parsed_definitions import ParsedDefinitions
    from airflow_sm_pipelines.engine.rules.scheduler import Decision
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, StepRecord, Store


_LOG = logging.getLogger(__name__)
_EXECUTION_FAILURE = "Step failure: One or multiple steps failed"


class WakeQueue:
    """Keys for one reader. A key that waits already is not put in a second time."""

    def __init__(self) -> None:
        self._keys: queue.Queue[str | None] = queue.Queue()
        self._waiting: set[str] = set()
        self._lock = threading.Lock()
        self._later: list[tuple[float, str]] = []
        self._due: dict[str, float] = {}

    def put(self, key: str) -> None:
        """Have a key read soon."""
        with self._lock:
            if key in self._waiting:
                return
            self._waiting.add(key)
        self._keys.put(key)

    def put_later(self, key: str, delay_seconds: float) -> None:
        """Have a key read after a delay. Only the reader may call this."""
        due = time.monotonic() + delay_seconds
        if self._due.get(key, due + 1) > due:
            self._due[key] = due
            heapq.heappush(self._later, (due, key))

    def close(self) -> None:
        """End the queue: the reader gets None."""
        self._keys.put(None)

    def get(self) -> str | None:
        """Wait for the next key and give it; None if the queue has ended."""
        while True:
            timeout = max(0.0, self._later[0][0] - time.monotonic()) if self._later else None
            try:
                key = self._keys.get(timeout=timeout)
            except queue.Empty:
                due, key = heapq.heappop(self._later)
                if self._due.get(key) == due:
                    del self._due[key]
                return key
            if key is not None:
                with self._lock:
                    self._waiting.discard(key)
            return key


class Runner:
    """Owns the driver and worker threads of one engine.

    :param max_workers: how many jobs and functions run at once, over all executions.
    """

    def __init__(
        self,
        store: Store,
        services: EngineServices,
        definitions: ParsedDefinitions,
        *,
        jobs_directory: Path,
        max_workers: int,
    ) -> None:
        self._directories = JobDirectories(jobs_directory)
        self.jobs = JobHost(store, services, directories=self._directories)
        self.endpoints = EndpointHost(store, services, directories=self._directories)
        self._store = store
        self._services = services
        self._definitions = definitions
        self._executors = step_executors()
        self._open: dict[str, OpenExecution] = {}
        self._wakes = WakeQueue()
        # By execution, the steps whose status has changed since the driver read them.
        self._changed: dict[str, set[str]] = {}
        self._changed_lock = threading.Lock()
        self._shutdown = threading.Event()
        # By execution, the steps that could not be begun: their state could not be written.
        self._unbegun: dict[str, set[str]] = {}
        self._performer = StepPerformer(
            store,
            services,
            self.jobs,
            self.endpoints,
            shutdown=self._shutdown,
            wake=self.wake,
            begin_again=self._begin_again,
        )
        self._pool = ThreadPoolExecutor(max_workers=max_workers, thread_name_prefix="sm-step")
        self._driver = threading.Thread(target=self._drive, name="sm-driver", daemon=True)
        self.on_end: Callable[[ExecutionRecord], None] | None = None
        """Gets each execution as it ends, before its end is recorded."""

    def start(self) -> None:
        """Start the threads, and go on with every execution and job that was open when the last engine ended."""
        self._directories.start(self.jobs.list_active_directories())
        sweep_directories()
        for execution_id in self._store.executions.open_ids():
            self.wake(execution_id)
        for kind, name in self._store.resources.standalone_active_jobs(list(JOB_KINDS)):
            self.submit_job(JOB_KINDS[kind], name)
        self.endpoints.resume()
        self._driver.start()

    def close(self) -> None:
        """Stop the threads. Jobs that run are stopped without an end, so that the next start runs them again."""
        self._shutdown.set()
        self.jobs.close()
        self._wakes.close()
        if self._driver.is_alive():
            self._driver.join()
        for opened in self._open.values():
            opened.stop_all()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.endpoints.close()
        self._directories.close()

    def wake(self, execution_id: str, step: str | None = None) -> None:
        """Have the driver look at an execution soon.

        :param step: a step whose status somebody other than the driver has changed in the store.
        """
        if step is not None:
            with self._changed_lock:
                self._changed.setdefault(execution_id, set()).add(step)
        self._wakes.put(execution_id)

    def _begin_again(self, execution_id: str, step: str) -> None:
        """Have the driver begin a step again, a little later."""
        with self._changed_lock:
            self._unbegun.setdefault(execution_id, set()).add(step)
        self._shutdown.wait(RETRY_SECONDS)
        self.wake(execution_id, step)

    def end_step(self, execution_id: str, name: str, outcome: StepOutcome) -> None:
        """Record the end of a step that goes on without a worker."""
        self._performer.finish(execution_id, name, outcome)

    def submit_job(self, kind: JobKind, name: str) -> None:
        """Run a job that no step waits for."""

        def run() -> None:
            try:
                self.jobs.run(kind, name, threading.Event())
            except Interrupted:
                pass
            except Exception as error:  # noqa: BLE001 - what goes wrong in the engine fails the job, not the worker
                _LOG.exception("Job %s failed in the engine", name)
                self.jobs.fail(kind, name, f"InternalServerError: {error}")

        self._pool.submit(run)

    def _drive(self) -> None:
        while (execution_id := self._wakes.get()) is not None:
            try:
                self._advance(execution_id)
            except sqlite3.OperationalError:
                # The disk may be full. Nothing was changed, so try again until there is space or the engine ends.
                _LOG.exception("Execution %s waits: its state cannot be written", execution_id)
                if execution_id in self._open:
                    self._open[execution_id].is_stale = True
                self._shutdown.wait(RETRY_SECONDS)
                self.wake(execution_id)
            except Exception as error:  # noqa: BLE001 - one execution must not end the driver of all others
                _LOG.exception("Execution %s cannot go on", execution_id)
                self._abandon(execution_id, error)

    def _advance(self, execution_id: str) -> None:
        with self._changed_lock:
            # Taken before the store is read, so that what changes from now on is read the next time.
            changed = self._changed.pop(execution_id, set())
        execution = self._store.executions.find(execution_id)
        if self._shutdown.is_set():
            return
        if execution is None or execution.status.is_terminal:
            self._open.pop(execution_id, None)
            return
        opened = self._require_open(execution)
        is_stopping = execution.status is ExecutionStatus.STOPPING
        to_begin = self._read_statuses(execution_id, opened, changed)
        self._recover_unbegun(execution, opened)
        if not is_stopping:
            to_begin += self._begin_retries(execution_id, opened)
        for name in to_begin:
            if name not in opened.stops:
                self._begin(execution, opened, name)
        decision = opened.schedule.decide(stop_requested=is_stopping, max_parallel=execution.parallelism)
        self._carry_out(execution, opened, decision)

    def _require_open(self, execution: ExecutionRecord) -> OpenExecution:
        opened = self._open.get(execution.id)
        if opened is None:
            opened = self._open[execution.id] = self._load(execution)
            if execution.experiment:
                self._pool.submit(self._performer.ensure_trial, execution)
        return opened

    def _read_statuses(self, execution_id: str, opened: OpenExecution, changed: set[str]) -> list[str]:
        """Bring the schedule up to date, and give the steps that were recorded as started and not begun.

        There are such steps only if the store failed after the record was written.
        """
        if opened.is_stale:
            opened.reset_schedule(self._store.steps.statuses(execution_id))
            return [name for name, status in opened.schedule.statuses.items() if status is StepStatus.STARTING]
        for name, status in self._store.steps.statuses_of(execution_id, changed).items():
            opened.schedule.set_status(name, status)
        return []

    def _carry_out(self, execution: ExecutionRecord, opened: OpenExecution, decision: Decision) -> None:
        for name in decision.stop:
            self._stop_step(execution, opened, name)
        for name, status in decision.end:
            self._performer.end_for_each(execution, opened, name, status)
        if decision.start:
            now_ms = self._performer.times.start_ms()
            self._store.steps.start(execution.id, decision.start, now_ms=now_ms, iterations=opened.iterations)
            for name in decision.start:
                opened.schedule.set_status(name, StepStatus.STARTING)
            for name in decision.start:
                self._begin(execution, opened, name)
        if decision.final is not None:
            self._end_execution(execution.id, decision.final)

    def _end_execution(self, execution_id: str, final: ExecutionStatus) -> None:
        # Out of memory first: a RetryPipelineExecution that comes right after must not find it.
        self._open.pop(execution_id, None)
        if final is ExecutionStatus.STOPPED and self._has_overrun(execution_id):
            final = ExecutionStatus.FAILED
        if self.on_end is not None and (record := self._store.executions.find(execution_id)) is not None:
            self.on_end(replace(record, status=final))
        is_failed = final is ExecutionStatus.FAILED
        self._store.executions.change_status(
            execution_id,
            final,
            now_ms=self._services.now_ms(),
            failure_reason=_EXECUTION_FAILURE if is_failed else None,
        )

    def _has_overrun(self, execution_id: str) -> bool:
        """Whether a function ran out of time while the execution was being stopped, which fails it (documented)."""
        return any((record.properties or {}).get(OVERRAN) for record in self._store.steps.all_of(execution_id))

    def _begin_retries(self, execution_id: str, opened: OpenExecution) -> list[str]:
        """Record the attempts that are due, have the driver come back for the others, and give the steps to begin."""
        due = []
        for name, at_ms in self._store.steps.pending_retries(execution_id).items():
            delay_ms = at_ms - self._services.now_ms()
            if delay_ms > 0:
                self._wakes.put_later(execution_id, delay_ms / 1000)
            else:
                opened.stops.pop(name, None)
                self._store.steps.begin_retry(execution_id, name)
                opened.schedule.set_status(name, StepStatus.STARTING)
                due.append(name)
        return due

    def _load(self, execution: ExecutionRecord) -> OpenExecution:
        """Read an execution from the store, and begin the steps again that ran when the last engine ended."""
        version = self._store.pipelines.find_version(execution.pipeline, execution.version)
        if version is None:
            raise LookupError(f"Version {execution.version} of pipeline '{execution.pipeline}' is gone.")
        records = self._store.steps.all_of(execution.id)
        opened = OpenExecution(
            parsed=self._definitions.load(version),
            selected=execution.selected_steps,
            outcomes={
                record.name: found for record in records if (found := _condition_outcome(record.properties)) is not None
            },
        )
        for record in records:
            if record.items is not None:
                opened.fan_out(record.name, record.items)
        for record in records:
            if not record.status.is_terminal:
                self._recover(execution, opened, record)
        return opened

    def _recover(self, execution: ExecutionRecord, opened: OpenExecution, record: StepRecord) -> None:
        if record.items is not None:
            # A ForEach step goes on when the steps of its iterations do.
            return
        is_stopping = record.status is StepStatus.STOPPING
        if record.callback_token is not None:
            if is_stopping:
                self._announce_stop(execution, record)
            if is_stopping or record.callback_sent is not None:
                return
        # While an execution is being stopped nothing is run again: the processes are gone.
        if is_stopping or execution.status is ExecutionStatus.STOPPING:
            if record.job is not None:
                self.jobs.end_stopped(*record.job)
            self._performer.finish(execution.id, record.name, StepOutcome(status=StepStatus.STOPPED))
            return
        if record.retry_at_ms is not None:
            return
        is_over = record.job is not None and self.jobs.is_over(*record.job)
        self._store.steps.restart(execution.id, record.name, attempts=0 if is_over else 1)
        self._begin(execution, opened, record.name)

    def _recover_unbegun(self, execution: ExecutionRecord, opened: OpenExecution) -> None:
        """Begin the steps again whose state could not be written, as a start of the engine would."""
        with self._changed_lock:
            names = self._unbegun.pop(execution.id, set())
        while names:
            name = names.pop()
            opened.stops.pop(name, None)
            opened.queued.pop(name, None)
            try:
                record = self._store.steps.find(execution.id, name)
                if record is not None and not record.status.is_terminal:
                    self._recover(execution, opened, record)
            except sqlite3.OperationalError:
                with self._changed_lock:
                    self._unbegun.setdefault(execution.id, set()).update({name}, names)
                raise

    def _begin(self, execution: ExecutionRecord, opened: OpenExecution, name: str) -> None:
        step, _ = opened.find_step(name)
        executor = executor_for(self._executors, step, self._services.stand_ins)
        stop = threading.Event()
        task = self._performer.new_task(execution, opened, name, stop=stop)
        opened.stops[name] = stop
        if not executor.is_instant:
            opened.queued[name] = self._pool.submit(self._performer.perform, executor, task)
            return
        outcome = self._performer.perform(executor, task)
        is_true = _condition_outcome(outcome.properties) if outcome is not None else None
        if is_true is not None:
            opened.set_outcome(name, is_true=is_true)
        if isinstance(step, ForEachStep) and outcome is None:
            record = self._store.steps.find(execution.id, name)
            if record is not None and record.items is not None:
                opened.fan_out(name, record.items)
            self.wake(execution.id)

    def _stop_step(self, execution: ExecutionRecord, opened: OpenExecution, name: str) -> None:
        with self._store.transaction():
            record = self._store.steps.find(execution.id, name)
            if record is None or record.status.is_terminal:
                return
            self._store.steps.change_status(execution.id, name, StepStatus.STOPPING)
            opened.schedule.set_status(name, StepStatus.STOPPING)
            if record.job is not None:
                self.jobs.stop(*record.job)
        opened.stops.setdefault(name, threading.Event()).set()
        if record.callback_token is not None:
            self._announce_stop(execution, record)
            return
        queued = opened.queued.get(name)
        if record.retry_at_ms is not None or (queued is not None and queued.cancel()):
            # No worker will record its end.
            self._performer.finish(execution.id, name, StepOutcome(status=StepStatus.STOPPED))

    def _announce_stop(self, execution: ExecutionRecord, step: StepRecord) -> None:
        if step.callback_sent != StepStatus.STOPPING.value:
            self._pool.submit(self._performer.announce_stop, execution, step)

    def _abandon(self, execution_id: str, error: Exception) -> None:
        """End an execution that the engine cannot drive, so that nobody waits for it for ever."""
        opened = self._open.pop(execution_id, None)
        if opened is not None:
            opened.stop_all()
        reason = f"InternalServerError: {type(error).__name__}: {error}"[:MAX_REASON_CHARACTERS]
        try:
            for name, status in self._store.steps.statuses(execution_id).items():
                if not status.is_terminal:
                    outcome = StepOutcome(status=StepStatus.FAILED, failure_reason=reason)
                    self._performer.finish(execution_id, name, outcome)
            record = self._store.executions.find(execution_id)
            if record is not None and not record.status.is_terminal:
                is_stopping = record.status is ExecutionStatus.STOPPING
                self._store.executions.change_status(
                    execution_id,
                    ExecutionStatus.STOPPED if is_stopping else ExecutionStatus.FAILED,
                    now_ms=self._services.now_ms(),
                    failure_reason=reason,
                )
        except Exception:  # noqa: BLE001 - one execution must not end the driver of all others
            _LOG.exception("Execution %s cannot be ended either", execution_id)


def _condition_outcome(properties: JsonObject | None) -> bool | None:
    """What a Condition step found; None for another step, or if it has not been evaluated."""
    return properties["Outcome"] is True if properties is not None and "Outcome" in properties else None
