"""What the engine gives to a job, and what it gets back: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_sm_pipelines.engine.jobs.isolation import Isolation, probe_isolation
from airflow_sm_pipelines.engine.jobs.process import Launcher

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.engine.jobs.images import ImageCatalog
    from airflow_sm_pipelines.engine.rules.job_documents import EndStatus

ContainerJobKind = Literal["Processing", "Training", "Transform"]
"""The kinds of jobs that run in containers; the name of a ``JobKind``."""


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job to run.

    :param kind: the ``Create*Job`` operation that the request is for.
    :param request: the request without the name; every expression in it is resolved.
    :param directory: the job's own directory; made if it does not exist. The caller removes it.
    :param containers: for a transform job, the container definitions of its model as in a ``CreateModel`` request.
    :param is_offline: for a transform job, the ``EnableNetworkIsolation`` of its model.
    :param datasets: the S3 addresses of the hub's datasets that it reads, by ARN.
    """

    kind: ContainerJobKind
    name: str
    arn: str
    request: JsonObject
    directory: Path
    containers: tuple[JsonObject, ...] = ()
    is_offline: bool = False
    datasets: Mapping[str, str] = field(default_factory=dict)


def _check_nothing() -> None:
    """Where nobody watches the disk."""


@dataclass(frozen=True, slots=True)
class JobContext:
    """What jobs need from the engine. One context serves all jobs, from several threads.

    :param endpoint_url: the loopback endpoint, as ``AWS_ENDPOINT_URL``.
    :param region: the region that jobs see.
    :param account_id: the account that jobs see.
    :param environment: the ``AWS_*`` variables for jobs; they get nothing else of the engine's environment.
    :param s3: a boto3 S3 client for inputs and outputs.
    :param log: takes the name of a stream and its new lines, each with its time in epoch milliseconds.
    :param images: what stands in for which image.
    :param cache_dir: where Python environments are kept.
    :param isolation: probed if it is not given. Give it if you make more than one context.
    :param launcher: starts the processes. Give it if you make more than one context.
    :param stop_grace_seconds: the time between SIGTERM and SIGKILL (the service: 120).
    :param model_seed: where stand-ins perform serverless fine-tuning, what their scores are made from besides the data;
        None where such jobs are refused.
    :param check_disk: called again and again while a job runs; raises ``JobFailure`` where it must end for the disk.
    """

    endpoint_url: str
    region: str
    account_id: str
    environment: Mapping[str, str]
    s3: Any
    log: Callable[[str, list[tuple[int, str]]], None]
    images: ImageCatalog
    cache_dir: Path
    isolation: Isolation = field(default_factory=probe_isolation)
    launcher: Launcher = field(default_factory=Launcher)
    stop_grace_seconds: float = 30.0
    model_seed: str | None = None
    check_disk: Callable[[], None] = _check_nothing


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended.

    :param status: ``Stopped`` also if the time of a training job was over, as on SageMaker; then there is a
        ``failure_reason``.
    :param failure_reason: a text for people; None on success and after a requested stop.
    :param exit_message: what a processing job left in ``/opt/ml/output/message``.
    :param log_tail: the last lines of the job's log.
    :param details: members of the ``Describe*Job`` answer; times are epoch seconds.
    :param is_for_full_disk: it failed since this side of it found no room on the disk.
    """

    status: EndStatus
    failure_reason: str | None = None
    exit_message: str | None = None
    log_tail: tuple[str, ...] = ()
    details: JsonObject = field(default_factory=dict)
    is_for_full_disk: bool = False
