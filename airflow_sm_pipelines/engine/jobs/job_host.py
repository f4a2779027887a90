"""Runs jobs, keeps their records true while they run, and lets anybody stop them by name.

A job runs in the thread of whoever asks for it, a step or a client. If the engine dies, its jobs die with it; they run
again from the beginning under the same name, since outputs are written whole at the end.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from airflow_sm_pipelines.engine.jobs.job_log import PatientLog
from airflow_sm_pipelines.engine.jobs.job_spec import JobSpec
from airflow_sm_pipelines.engine.jobs.kept_failures import FailedJob
from airflow_sm_pipelines.engine.jobs.model_customization import iter_dataset_arns
from airflow_sm_pipelines.engine.registry.experiments import (
    add_job_component,
    add_tuning_experiment,
    end_job_component,
)
from airflow_sm_pipelines.engine.registry.hubs import find_dataset
from airflow_sm_pipelines.engine.registry.models import (
    add_model_package,
    ensure_group,
    find_containers,
    require_model,
)
from airflow_sm_pipelines.engine.rules.errors import Interrupted
from airflow_sm_pipelines.engine.rules.job_documents import (
    ACTIVE_STATUSES,
    JOB_KINDS,
    TRAINING,
    TRANSFORM,
    TUNING,
    EndStatus,
    JobKind,
    ended_job_document,
    new_job_document,
    started_job_document,
    stopping_job_document,
)
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.engine.store.documents import to_ms
from airflow_sm_pipelines.engine.tuning.request import plan_tuning, prepare_tuning_request
from airflow_sm_pipelines.engine.tuning.training_jobs import list_training_jobs
from airflow_sm_pipelines.engine.tuning.tuning_run import TuningRun
from airflow_sm_pipelines.engine.tuning.warm_start import read_parent_jobs, require_parents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from airflow_sm_pipelines.engine.jobs.job_directories import JobDirectories
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobOutcome
    from airflow_sm_pipelines.engine.rules.training_metrics import LogListener
    from airflow_sm_pipelines.engine.store import ResourceRecord, Store


_T = TypeVar("_T")


class JobServices(Protocol):
    """What the job host needs from outside; ``EngineServices`` has it."""

    @property
    def region(self) -> str:
        """The region that ARNs name."""
        ...

    @property
    def account_id(self) -> str:
        """The account that ARNs name."""
        ...

    @property
    def clock(self) -> Callable[[], datetime]:
        """The present moment, aware UTC."""
        ...

    @property
    def run_job(self) -> Callable[[JobSpec, JobContext, threading.Event], JobOutcome]:
        """Runs one job to its end in the calling thread."""
        ...

    def job_context(self, log_group: str) -> JobContext:
        """What a job needs to know of the outside, with its log going to this group."""
        ...


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How a job ended, and why."""

    status: EndStatus
    failure_reason: str | None


class JobHost:
    """Creates, runs and stops processing, training, transform and tuning jobs."""

    def __init__(self, store: Store, services: JobServices, *, directories: JobDirectories) -> None:
        self._store = store
        self._services = services
        self._directories = directories
        self._arns = ArnFactory(services.region, services.account_id)
        self._stops: dict[tuple[str, str], threading.Event] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()

    def create(
        self,
        kind: JobKind,
        name: str,
        request: Mapping[str, Any],
        *,
        family: str | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> ResourceRecord:
        """Record a job that does not run yet; ``run`` starts it.

        :param family: the tuning job that this training job belongs to, and that runs it.
        :param extra: further members of its record.
        :raises ServiceError: a transform job names a model that does not exist, the ``ExperimentConfig`` names a trial
            that does not exist, or the local engine cannot run the tuning job.
        """
        if kind is TUNING:
            request = prepare_tuning_request(request)
            require_parents(self._store, plan_tuning(request).parents)
        hidden: dict[str, Any] = {"$request": dict(request)}
        if kind is TRANSFORM:
            # The job keeps the model it was made for, even if that is deleted meanwhile.
            model = str(request["ModelName"])
            hidden["$containers"] = find_containers(self._store, self._arns, model)
            hidden["$offline"] = bool(require_model(self._store, self._arns, model).document["EnableNetworkIsolation"])
        now = self._services.clock()
        arn = self._arns.make(kind.resource, name)
        document = new_job_document(kind, name=name, arn=arn, request=request, now=now)
        document = {**document, **hidden, **(extra or {})}
        tags = request.get("Tags")
        with self._store.transaction():
            record = self._store.add_resource(
                kind.table_kind, name, arn, document, now=now, tags=tags, status="InProgress", family=family
            )
            if kind is TUNING:
                add_tuning_experiment(self._store, self._arns, name, now=now)
            if request.get("ExperimentConfig"):
                add_job_component(self._store, self._arns, kind, record, request["ExperimentConfig"], now=now)
        return record

    def run(self, kind: JobKind, name: str, stop: threading.Event, *, on_log: LogListener | None = None) -> JobEnd:
        """Run a recorded job to its end. A job that has ended already does not run again.

        :param on_log: gets the lines of its log while it runs.
        :raises Interrupted: the engine shuts down meanwhile; the record then stays active.
        """
        # The job is registered by name before its status is read. So a stop comes either before, and the status says
        # so, or after, and sets the event.
        with self._registered(kind, name, stop):
            if self._closing.is_set():
                raise Interrupted
            record = self.write_surely(lambda: self._begin(kind, name))
            if record.status not in ACTIVE_STATUSES:
                return _recorded_end(record)
            if kind is TUNING:
                return self._run_tuning(record, stop)
            return self._run_containers(kind, record, stop, on_log)

    def _begin(self, kind: JobKind, name: str) -> ResourceRecord:
        """Record that a job runs now, unless it has ended or was stopped before."""
        with self._store.transaction():
            record = self._require(kind, name)
            if record.status == "Stopping":
                self._end_training_jobs(kind, name)
                self._end(kind, name, status="Stopped")
                return self._require(kind, name)
            if record.status in ACTIVE_STATUSES:
                self._save(record, started_job_document(kind, record.document, now=self._services.clock()))
            return record

    def write_surely(self, write: Callable[[], _T]) -> _T:
        """Write to the store, however long the disk is full.

        :raises Interrupted: the engine shuts down meanwhile.
        """
        return self._directories.room.write_surely(write, self._closing)

    @contextmanager
    def stoppable(self, kind: JobKind, name: str, stop: threading.Event) -> Iterator[None]:
        """While this context is open, let a job that somebody else performs be stopped by its name.

        :param stop: set when the job is to stop, or the engine shuts down.
        """
        with self._registered(kind, name, stop):
            if self._closing.is_set() or self._require(kind, name).status == "Stopping":
                stop.set()
            yield

    def complete(self, kind: JobKind, name: str, details: Mapping[str, Any]) -> None:
        """Record the success of a job that somebody else performs.

        :param details: further members of its Describe answer.
        """
        self._end(kind, name, status="Completed", details=details)

    def stop(self, kind: JobKind, name: str) -> bool:
        """Ask a job to stop; False if it had ended already."""
        with self._store.transaction():
            record = self._require(kind, name)
            if record.status not in ACTIVE_STATUSES:
                return False
            self._save(record, stopping_job_document(kind, record.document, now=self._services.clock()))
        with self._lock:
            event = self._stops.get((record.kind, name))
        if event is not None:
            event.set()
        return True

    def fail(self, kind: JobKind, name: str, reason: str) -> None:
        """Record that an active job failed outside its own process."""
        if self._require(kind, name).status in ACTIVE_STATUSES:
            self.write_surely(lambda: self._end(kind, name, status="Failed", failure_reason=reason))

    def end_stopped(self, kind: JobKind, name: str) -> None:
        """Record that an active job whose process is gone was stopped."""
        if self._require(kind, name).status in ACTIVE_STATUSES:
            self._end_training_jobs(kind, name)
            self._end(kind, name, status="Stopped")

    def is_over(self, kind: JobKind, name: str) -> bool:
        """Whether nothing of a job would run again: it has ended, or its programs had when the engine died."""
        record = self._store.resources.find(kind.table_kind, name)
        is_active = record is None or record.status in ACTIVE_STATUSES
        return not is_active or self._directories.holds_end(_directory_name(kind, name))

    def list_active_directories(self) -> list[str]:
        """The names of the directories of all active jobs."""
        return [
            _directory_name(JOB_KINDS[kind], name) for kind, name in self._store.resources.active_jobs([*JOB_KINDS])
        ]

    def close(self) -> None:
        """Stop every running job without recording an end, so that the next start runs it again."""
        self._closing.set()
        with self._lock:
            events = list(self._stops.values())
        for event in events:
            event.set()

    @contextmanager
    def _registered(self, kind: JobKind, name: str, stop: threading.Event) -> Iterator[None]:
        with self._lock:
            self._stops[kind.table_kind, name] = stop
        try:
            yield
        finally:
            with self._lock:
                self._stops.pop((kind.table_kind, name), None)

    def _run_containers(
        self, kind: JobKind, record: ResourceRecord, stop: threading.Event, on_log: LogListener | None
    ) -> JobEnd:
        log = PatientLog(self._services.job_context(kind.log_group).log)
        room = self._directories.room
        while True:
            self._directories.wait_for_room(lambda: stop.is_set() or self._closing.is_set(), stop.wait)
            outcome = self._run_once(kind, record, stop, log, on_log)
            # If the disk is full without this job, too, something else has filled it: the job waits, and runs again.
            if not (outcome.is_for_full_disk and room.is_full()) or stop.is_set():
                break
        self.write_surely(log.flush)
        return self.write_surely(
            lambda: self._end(
                kind,
                record.name,
                status=outcome.status,
                failure_reason=outcome.failure_reason,
                exit_message=outcome.exit_message,
                details=outcome.details,
            )
        )

    def _run_once(
        self, kind: JobKind, record: ResourceRecord, stop: threading.Event, log: PatientLog, on_log: LogListener | None
    ) -> JobOutcome:
        """Run a job in a directory of its own. It is gone afterwards, unless somebody may want to see why it failed."""
        room = self._directories.room
        directory = self._directories.claim(_directory_name(kind, record.name))
        spec = JobSpec(
            kind=kind.name,  # type: ignore[arg-type]
            name=record.name,
            arn=record.arn,
            request=record.document["$request"],
            directory=directory,
            containers=tuple(record.document.get("$containers", ())),
            is_offline=bool(record.document.get("$offline")),
            datasets=self._find_datasets(record.document["$request"]),
        )
        check = partial(self._directories.check, directory)
        context = replace(self._services.job_context(kind.log_group), log=log.write, check_disk=check)
        failed: FailedJob | None = None
        try:
            with room.used_by(directory):
                outcome = self._services.run_job(spec, _with_listener(context, on_log), stop)
            if self._closing.is_set() and outcome.status != "Completed":
                raise Interrupted
            if outcome.failure_reason and not outcome.is_for_full_disk:
                failed = FailedJob(record.arn, outcome.failure_reason, time.time())
            return outcome
        finally:
            if failed is None:
                self._directories.discard(directory)
            else:
                self._directories.keep(directory, failed)

    def _run_tuning(self, record: ResourceRecord, stop: threading.Event) -> JobEnd:
        def save(members: dict[str, Any]) -> None:
            def write() -> None:
                with self._store.transaction():
                    current = self._require(TUNING, record.name)
                    self._save(current, {**current.document, **members})

            self.write_surely(write)

        jobs = _TrainingJobs(self._store, self, tuning_job=record.name, tuning_arn=record.arn)
        plan = plan_tuning(record.document["$request"])
        parent_jobs = read_parent_jobs(self._store, plan.parents)
        end = TuningRun(record.name, plan, jobs, stop=stop, save=save, parent_jobs=parent_jobs).run()
        if self._closing.is_set() and end.status != "Completed":
            raise Interrupted
        details = {**end.details, "$properties": end.properties}
        return self.write_surely(
            lambda: self._end(
                TUNING, record.name, status=end.status, failure_reason=end.failure_reason, details=details
            )
        )

    def _end_training_jobs(self, kind: JobKind, name: str) -> None:
        """Record that the active training jobs of a tuning job, whose processes are gone, were stopped."""
        if kind is TUNING:
            for job in list_training_jobs(self._store, name):
                if job.status in ACTIVE_STATUSES:
                    self._end(TRAINING, job.name, status="Stopped")

    def _end(self, kind: JobKind, name: str, *, status: EndStatus, **changes: Any) -> JobEnd:
        with self._store.transaction():
            record = self._require(kind, name)
            document = ended_job_document(kind, record.document, status=status, now=self._services.clock(), **changes)
            if package := document.pop("$package", None):
                document["OutputModelPackageArn"] = self._add_package(package).arn
            self._save(record, document)
            if document.get("ExperimentConfig"):
                end_job_component(self._store, kind, name, document, now=self._services.clock())
        return JobEnd(status, document.get("FailureReason"))

    def _add_package(self, request: Mapping[str, Any]) -> ResourceRecord:
        now = self._services.clock()
        ensure_group(self._store, self._arns, request["ModelPackageGroupName"], now=now)
        return add_model_package(self._store, self._arns, request, now=now)

    def _find_datasets(self, request: Mapping[str, Any]) -> dict[str, str]:
        found = {arn: find_dataset(self._store, arn) for arn in iter_dataset_arns(request)}
        return {arn: uri for arn, uri in found.items() if uri is not None}

    def _save(self, record: ResourceRecord, document: dict[str, Any]) -> None:
        status = document[JOB_KINDS[record.kind].status_key]
        modified_ms = to_ms(self._services.clock())
        self._store.resources.save(replace(record, document=document, status=status, modified_ms=modified_ms))

    def _require(self, kind: JobKind, name: str) -> ResourceRecord:
        record = self._store.resources.find(kind.table_kind, name)
        if record is None:
            raise LookupError(f"{kind.table_kind} '{name}' is gone.")
        return record


class _TrainingJobs:
    """The training jobs of one tuning job, as a tuning run sees them (``TrainingJobs``)."""

    def __init__(self, store: Store, jobs: JobHost, *, tuning_job: str, tuning_arn: str) -> None:
        self._store, self._jobs = store, jobs
        self._tuning_job, self._tuning_arn = tuning_job, tuning_arn

    def create(self, name: str, request: Mapping[str, Any], notes: Mapping[str, Any]) -> None:
        extra = {"TuningJobArn": self._tuning_arn, "$trial": dict(notes)}
        self._jobs.write_surely(
            lambda: self._jobs.create(TRAINING, name, request, family=self._tuning_job, extra=extra)
        )

    def run(self, name: str, stop: threading.Event, on_log: LogListener | None) -> None:
        self._jobs.run(TRAINING, name, stop, on_log=on_log)

    def stop(self, name: str) -> None:
        self._jobs.stop(TRAINING, name)

    def fail(self, name: str, reason: str) -> None:
        self._jobs.fail(TRAINING, name, reason)

    def documents(self) -> list[dict[str, Any]]:
        return [record.document for record in list_training_jobs(self._store, self._tuning_job)]


def _directory_name(kind: JobKind, name: str) -> str:
    """Jobs of several kinds may have one name."""
    return f"{kind.resource}-{name}"


def _recorded_end(record: ResourceRecord) -> JobEnd:
    status: Any = record.status or "Failed"
    return JobEnd(status, record.document.get("FailureReason"))


def _with_listener(context: JobContext, on_log: LogListener | None) -> JobContext:
    if on_log is None:
        return context
    write = context.log

    def log(stream: str, lines: list[tuple[int, str]]) -> None:
        write(stream, lines)
        on_log(lines)

    return replace(context, log=log)
