"""What the engine hands to a job and gets back.

Belongs here: the plain data of the seam between the runner and the jobs. Does not belong here: doing anything.
"""

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

JobKind = Literal["Processing", "Training", "Transform"]
JobStatus = Literal["Completed", "Failed", "Stopped"]


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job to run.

    :param kind: which ``Create*Job`` the request belongs to.
    :param name: the job's name.
    :param arn: its ARN.
    :param request: the request with every expression resolved, without the name.
    :param directory: the job's own directory; made when missing, left for the caller to remove.
    :param containers: of a transform job, its model's container definitions as in a ``CreateModel`` request.
    """

    kind: JobKind
    name: str
    arn: str
    request: JsonObject
    directory: Path
    containers: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class JobContext:
    """What jobs get from the engine around them; one for all jobs, usable from several threads.

    :param endpoint_url: the loopback endpoint, as ``AWS_ENDPOINT_URL``.
    :param region: and ``account_id``: where the jobs believe to be.
    :param environment: the ``AWS_*`` variables for children; nothing else of the engine's environment reaches them.
    :param s3: a boto3 S3 client for inputs and outputs.
    :param log: takes a stream's name and its new lines as pairs of epoch milliseconds and text.
    :param images: what stands in for which image.
    :param cache_dir: where Python environments are kept.
    :param isolation: probed when not given, so give it when making more than one context.
    :param launcher: starts the processes; give it when making more than one context.
    :param stop_grace_seconds: between SIGTERM and SIGKILL (the service: 120).
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


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """How a job ended.

    :param status: ``Stopped`` also when a training job's time was over, as on SageMaker; ``failure_reason`` is given.
    :param failure_reason: for people, None on success and on a stop that was asked for.
    :param exit_message: what a processing job left in ``/opt/ml/output/message``.
    :param log_tail: the last lines of the job's log.
    :param details: keys of the ``Describe*Job`` response; times are epoch seconds.
    """

    status: JobStatus
    failure_reason: str | None = None
    exit_message: str | None = None
    log_tail: tuple[str, ...] = ()
    details: JsonObject = field(default_factory=dict)
