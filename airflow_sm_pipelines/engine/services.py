"""What the engine needs from outside: object storage, logs, Lambda code, a clock, random ids, and the running of jobs.

What belongs here: protocols and the record that carries them. The server implements them; tests pass fakes.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.engine.jobs.stand_in_table import StandIns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from threading import Event

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.engine.jobs import (
        FunctionOutcome,
        FunctionSpec,
        ImageCatalog,
        Isolation,
        JobContext,
        JobOutcome,
        JobSpec,
        Launcher,
    )


class S3Client(Protocol):
    """The part of a boto3 S3 client the engine itself uses; jobs use more of it."""

    def get_object(self, *, Bucket: str, Key: str, **rest: Any) -> Any:  # noqa: N803 - boto3's names
        """The object, its ``Body`` a stream."""
        ...

    def delete_object(self, *, Bucket: str, Key: str, **rest: Any) -> Any:  # noqa: N803 - boto3's names
        """Delete an object; one that is not there is no fault."""
        ...

    def list_objects_v2(self, *, Bucket: str, Prefix: str, **rest: Any) -> Any:  # noqa: N803 - boto3's names
        """The first objects under a prefix."""
        ...


class JobRunner(Protocol):
    """Runs one job to its end in the calling thread; ``stop`` asks for SIGTERM, then SIGKILL."""

    def __call__(self, spec: JobSpec, context: JobContext, stop: Event) -> JobOutcome:
        """How the job ended."""
        ...


class FunctionRunner(Protocol):
    """Runs one Lambda invocation to its end in the calling thread."""

    def __call__(self, spec: FunctionSpec, event: JsonValue, context: JobContext, stop: Event) -> FunctionOutcome:
        """What the function returned, or how it failed."""
        ...


def _run_job(spec: JobSpec, context: JobContext, stop: Event) -> JobOutcome:
    from airflow_sm_pipelines.engine.jobs import run_job

    return run_job(spec, context, stop)


def _run_function(spec: FunctionSpec, event: JsonValue, context: JobContext, stop: Event) -> FunctionOutcome:
    from airflow_sm_pipelines.engine.jobs import run_function

    return run_function(spec, event, context, stop)


def _default_images() -> ImageCatalog:
    from airflow_sm_pipelines.engine.jobs import ImageCatalog

    return ImageCatalog()


def _probe_isolation() -> Isolation:
    from airflow_sm_pipelines.engine.jobs import probe_isolation

    return probe_isolation()


def _new_launcher() -> Launcher:
    from airflow_sm_pipelines.engine.jobs import Launcher

    return Launcher()


def _utc_now() -> datetime:
    return datetime.now(timezone.utc)


def _random_id(length: int, alphabet: str) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))


def _accept_request(operation: str, request: Mapping[str, Any]) -> str | None:
    return None


def _drop_events(entries: Sequence[Mapping[str, Any]]) -> None:
    pass


def _no_queues(url: str, body: str) -> str | None:
    return "there are no queues here."


def _accept_metadata(metadata: Mapping[str, Any]) -> str | None:
    return None


def _accept_answer(operation: str, answer: Mapping[str, Any]) -> str | None:
    return None


@dataclass(frozen=True, slots=True)
class EngineServices:
    """The engine's outside world.

    :param region: the region that ARNs name.
    :param account_id: the account that ARNs name, 12 digits.
    :param endpoint_url: where jobs and functions reach the AWS endpoint.
    :param cache_dir: where images' environments are kept.
    :param s3: a boto3 S3 client on that endpoint.
    :param write_logs: ``(log group, log stream, [(epoch ms, line)])``, such as to CloudWatch Logs.
    :param find_function: the code and configuration of a Lambda function by ARN or name, None if there is none.
    :param environment: variables that jobs and functions get (``AWS_*``).
    :param images: which image repository means which Python environment; the built-in table by default.
    :param isolation: how jobs get an ``/opt/ml`` of their own; probed once by default.
    :param launcher: starts the processes of jobs; the engine ends it.
    :param validate_request: checks a resolved Create* request as the service would, and answers with what is wrong
        with it, or None. The step fails with that text.
    :param send_message: puts a text into the queue at a URL, and answers with what went wrong, or None.
    :param put_events: puts entries of EventBridge's PutEvents on the default bus, ten at most.
    :param stand_ins: the user's functions for steps that do not run here.
    :param check_metadata: checks a step's metadata against the API's shape, and answers with what is wrong, or None.
    :param check_answer: the same for the answer of an operation.
    :param faults_file: faults to inject, see ``engine/driver/fault_injection.py``; read whenever a step starts.
    :param clock: the present moment, aware UTC.
    :param new_id: random text of a length from an alphabet.
    """

    region: str
    account_id: str
    endpoint_url: str
    cache_dir: Path
    s3: S3Client
    write_logs: Callable[[str, str, Sequence[tuple[int, str]]], None]
    find_function: Callable[[str], FunctionSpec | None]
    environment: Mapping[str, str] = field(default_factory=dict)
    images: ImageCatalog = field(default_factory=_default_images)
    isolation: Isolation = field(default_factory=_probe_isolation)
    launcher: Launcher = field(default_factory=_new_launcher)
    validate_request: Callable[[str, Mapping[str, Any]], str | None] = _accept_request
    send_message: Callable[[str, str], str | None] = _no_queues
    put_events: Callable[[Sequence[Mapping[str, Any]]], None] = _drop_events
    stand_ins: StandIns = field(default_factory=StandIns)
    check_metadata: Callable[[Mapping[str, Any]], str | None] = _accept_metadata
    check_answer: Callable[[str, Mapping[str, Any]], str | None] = _accept_answer
    faults_file: Path | None = None
    clock: Callable[[], datetime] = _utc_now
    new_id: Callable[[int, str], str] = _random_id
    run_job: JobRunner = _run_job
    run_function: FunctionRunner = _run_function

    def job_context(self, log_group: str) -> JobContext:
        """What one job needs to know of the outside, with its log lines going to this group."""
        from airflow_sm_pipelines.engine.jobs import JobContext

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
        )
