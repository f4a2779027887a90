"""What the engine needs from outside: S3, logs, Lambda code, queues, a clock, random ids, and the running of jobs.

What belongs here: the protocols, the record that carries them, and the clock that never goes back. The server fills the
record, and so do the tests.
"""

from __future__ import annotations

import secrets
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.engine.jobs import (
    ImageCatalog,
    Isolation,
    JobContext,
    Launcher,
    probe_isolation,
    run_function,
    run_job,
)
from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.store.documents import to_ms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from threading import Event

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.definition.s3_uri import S3Location
    from airflow_sm_pipelines.engine.jobs import FunctionOutcome, FunctionSpec, JobOutcome, JobSpec

_MAX_DOCUMENT_BYTES = 10 * 1024 * 1024
"""The engine reads property files and definitions into memory; SageMaker's limit is of this order."""


class S3Client(Protocol):
    """The part of a boto3 S3 client that the engine itself uses. Jobs use more of it."""

    def get_object(self, *, Bucket: str, Key: str, **rest: Any) -> Any:  # noqa: N803 - boto3's names
        """The object; its ``Body`` is a stream."""
        ...

    def delete_object(self, *, Bucket: str, Key: str, **rest: Any) -> Any:  # noqa: N803 - boto3's names
        """Delete an object. If it does not exist, this does nothing."""
        ...

    def list_objects_v2(self, *, Bucket: str, Prefix: str, **rest: Any) -> Any:  # noqa: N803 - boto3's names
        """The first objects under a prefix."""
        ...


class JobRunner(Protocol):
    """Runs one job to its end in the calling thread; ``stop`` asks for SIGTERM, then SIGKILL."""

    def __call__(self, spec: JobSpec, context: JobContext, stop: Event) -> JobOutcome:
        """Run the job, and tell how it ended."""
        ...


class FunctionRunner(Protocol):
    """Runs one Lambda invocation to its end in the calling thread."""

    def __call__(self, spec: FunctionSpec, event: JsonValue, context: JobContext, stop: Event) -> FunctionOutcome:
        """Call the function, and tell what it returned or how it failed."""
        ...


def _read_clock() -> datetime:
    return datetime.now(timezone.utc)


def _make_random_id(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _accept_request(operation: str, request: Mapping[str, Any]) -> str | None:
    return None


def _drop_events(entries: Sequence[Mapping[str, Any]]) -> None:
    pass


def _refuse_message(url: str, body: str) -> str | None:
    return "there are no queues here."


def _accept_metadata(metadata: Mapping[str, Any]) -> str | None:
    return None


def _accept_answer(operation: str, answer: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class EngineServices:
    """What the engine needs from outside.

    :param region: the region that ARNs name.
    :param account_id: the account that ARNs name, 12 digits.
    :param endpoint_url: where jobs and functions reach the AWS endpoint.
    :param cache_dir: where the environments of images are kept.
    :param s3: a boto3 S3 client on that endpoint.
    :param write_logs: takes ``(log group, log stream, [(epoch ms, line)])``, for example for CloudWatch Logs.
    :param find_function: gives the code and configuration of a Lambda function by ARN or name; None if there is none.
    :param environment: variables that jobs and functions get (``AWS_*``).
    :param images: which image repository means which Python environment; by default the built-in table.
    :param isolation: how jobs get an ``/opt/ml`` of their own; by default the engine probes it.
    :param launcher: starts the processes of jobs; the engine ends it.
    :param validate_request: checks a resolved Create* request as the service would, and gives what is wrong with it, or
        None. The step fails with that text.
    :param send_message: puts a text into the queue at a URL, and gives what went wrong, or None.
    :param put_events: puts entries of EventBridge's PutEvents on the default bus, at most ten.
    :param stand_ins: the user's functions for steps that do not run here.
    :param check_metadata: checks a step's metadata against the shape of the API, and gives what is wrong, or None.
    :param check_answer: the same for the answer of an operation.
    :param faults_file: faults to inject, see ``driver/fault_injection``; read whenever a step starts.
    :param serves_endpoints: whether models are served behind endpoints; else endpoints are records only.
    :param model_seed: see ``JobContext``.
    :param clock: gives the present moment, aware UTC.
    :param new_id: gives random text of a length from an alphabet.
    :param run_job: runs a job.
    :param run_function: calls a Lambda function.
    """

    region: str
    account_id: str
    endpoint_url: str
    cache_dir: Path
    s3: S3Client
    write_logs: Callable[[str, str, Sequence[tuple[int, str]]], None]
    find_function: Callable[[str], FunctionSpec | None]
    environment: Mapping[str, str] = field(default_factory=dict)
    images: ImageCatalog = field(default_factory=ImageCatalog)
    isolation: Isolation = field(default_factory=probe_isolation)
    launcher: Launcher = field(default_factory=Launcher)
    validate_request: Callable[[str, Mapping[str, Any]], str | None] = _accept_request
    send_message: Callable[[str, str], str | None] = _refuse_message
    put_events: Callable[[Sequence[Mapping[str, Any]]], None] = _drop_events
    stand_ins: StandIns = field(default_factory=StandIns)
    check_metadata: Callable[[Mapping[str, Any]], str | None] = _accept_metadata
    check_answer: Callable[[str, Mapping[str, Any]], str | None] = _accept_answer
    faults_file: Path | None = None
    serves_endpoints: bool = True
    model_seed: str | None = None
    clock: Callable[[], datetime] = _read_clock
    new_id: Callable[[int, str], str] = _make_random_id
    run_job: JobRunner = run_job
    run_function: FunctionRunner = run_function

    def now_ms(self) -> int:
        """The present moment in epoch milliseconds."""
        return to_ms(self.clock())

    def read_object(self, location: S3Location, *, version_id: str | None = None) -> bytes:
        """Read an S3 object.

        :raises ResolutionError: it does not exist, cannot be read, or is too large for a document.
        """
        version = {"VersionId": version_id} if version_id else {}
        try:
            answer = self.s3.get_object(Bucket=location.bucket, Key=location.key, **version)
            body: bytes = answer["Body"].read(_MAX_DOCUMENT_BYTES + 1)
        except Exception as error:
            raise ResolutionError(f"{location.uri} cannot be read: {error}") from error
        if len(body) > _MAX_DOCUMENT_BYTES:
            raise ResolutionError(f"{location.uri} is larger than {_MAX_DOCUMENT_BYTES} bytes.")
        return body

    def job_context(self, log_group: str) -> JobContext:
        """What a job needs to know of the outside, with its log going to this group."""

        def log(stream: str, lines: list[tuple[int, str]]) -> None:
            self.write_logs(log_group, stream, lines)

        return JobContext(
            endpoint_url=self.endpoint_url,
            region=self.region,
            account_id=self.account_id,
            environment=self.environment,
            s3=self.s3,
            log=log,
            images=self.images,
            cache_dir=self.cache_dir,
            isolation=self.isolation,
            launcher=self.launcher,
            model_seed=self.model_seed,
        )


class SteadyClock:
    """Follows the clock of the machine, except when that is set back: then time goes on from where it was.

    If the machine's clock is set forward, this clock follows: a machine that slept has missed that time.

    :param read: gives the time of the machine, aware UTC.
    :param not_before: the latest time that was recorded before the engine started.
    :param monotonic: gives seconds that only grow.
    """

    def __init__(
        self,
        read: Callable[[], datetime],
        *,
        not_before: datetime,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last = not_before
        self._last_tick = monotonic()

    def __call__(self) -> datetime:
        """The present moment, aware UTC."""
        with self._lock:
            tick = self._monotonic()
            passed = max(0.0, tick - self._last_tick)
            found = self._read().astimezone(timezone.utc)
            self._last = found if found >= self._last else self._last + timedelta(seconds=passed)
            self._last_tick = tick
            return self._last
