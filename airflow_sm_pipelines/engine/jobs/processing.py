"""A processing job: SageMaker's contract for processing containers, with one process for each instance.

Choices where the service's behaviour is not documented: ``EndOfJob`` outputs are uploaded only after success.
``Continuous`` outputs are uploaded every few seconds and at the end, however the job ends. A job past its time is
Failed.

Source: Amazon SageMaker developer guide, "How Amazon SageMaker Processing runs your processing container image".
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY, Container
from airflow_sm_pipelines.engine.jobs.failures import (
    MISSING_PROGRAM,
    JobFailure,
    explain_failure,
    explain_timeout,
    shorten_reason,
)
from airflow_sm_pipelines.engine.jobs.instances import InstancesEnd, PeriodicWork, run_instances
from airflow_sm_pipelines.engine.jobs.isolation import plan_network
from airflow_sm_pipelines.engine.jobs.job_spec import JobOutcome
from airflow_sm_pipelines.engine.jobs.kept_end import KeptEnd, ignore_line, read_kept_end
from airflow_sm_pipelines.engine.jobs.local_images import prepare_image
from airflow_sm_pipelines.engine.jobs.s3_transfer import TreeSync, download_input, parse_location, upload_tree
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS
from airflow_sm_pipelines.engine.rules.job_documents import DEFAULT_MAX_RUNTIME_SECONDS

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.engine.jobs.image_contents import ImageContents
    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobSpec
    from airflow_sm_pipelines.engine.jobs.local_images import LocalImage

_SYNC_SECONDS = 5.0
_MONITOR_REPOSITORY = "sagemaker-model-monitor-analyzer"
_CLARIFY_REPOSITORY = "sagemaker-clarify-processing"
_MONITOR_PROGRAMS = {"DATA_QUALITY": "data_quality_analyzer.py", "MODEL_QUALITY": "model_quality_analyzer.py"}


def run_processing_job(spec: JobSpec, context: JobContext, log: JobLog, stop: threading.Event) -> JobOutcome:
    """Run a processing job to its end. Inputs are downloaded first; a stop does not interrupt that.

    :raises JobFailure: it failed before or after its program ran.
    """
    request: Mapping[str, Any] = spec.request
    _refuse_unsupported(request)
    count = int(request["ProcessingResources"]["ClusterConfig"]["InstanceCount"])
    hosts = [f"algo-{number}" for number in range(1, count + 1)]
    kept = read_kept_end(spec.directory)
    uri = request["AppSpecification"]["ImageUri"]
    note = ignore_line if kept else partial(log.add, hosts[0])
    image = prepare_image(context.images, uri, cache_dir=context.cache_dir, log=note)
    argv = _plan_program(request, image.contents)
    containers = [Container.of_job(spec.directory, host, image.contents, is_over=kept is not None) for host in hosts]
    outputs = _Outputs(request, context, containers, log)
    if kept is None:
        kept = _run_programs(spec, context, log, stop, argv, image, containers, outputs.periodic)
        kept.keep(spec.directory)
    else:
        log.restore_tail(kept.log_tail)
    end = kept.end
    outputs.upload(end)
    details: dict[str, Any] = {"ProcessingStartTime": kept.started, "ProcessingEndTime": kept.ended}
    reason = None
    if end.is_timed_out:
        reason = explain_timeout(_max_runtime_seconds(request))
    elif end.failure and not end.is_stopped:
        host, failed = end.failure
        text = explain_failure(
            argv, failed, host=host if count > 1 else None, log_tail=log.tail, isolation=context.isolation
        )
        reason = shorten_reason(f"AlgorithmError: {text}")
    return _make_outcome(end, containers, log, details, reason)


def _run_programs(
    spec: JobSpec,
    context: JobContext,
    log: JobLog,
    stop: threading.Event,
    argv: list[str],
    image: LocalImage,
    containers: list[Container],
    periodic: list[PeriodicWork],
) -> KeptEnd:
    """Download the inputs, and run the program of each instance to its end."""
    request: Mapping[str, Any] = spec.request
    hosts = [container.host for container in containers]
    note = partial(log.add, hosts[0])
    network = request.get("NetworkConfig") or {}
    is_offline = plan_network(
        context.isolation, hosts, is_offline=bool(network.get("EnableNetworkIsolation")), note=note
    )
    _download_inputs(request, context, containers, note=note)
    for container in containers:
        _write_configuration(spec, container, hosts)
    instances = [
        container.plan_instance(
            argv,
            image=image,
            context=context,
            contract={},
            requested=request.get("Environment") or {},
            hosts=hosts,
            is_offline=is_offline,
        )
        for container in containers
    ]
    started = time.time()
    end = run_instances(
        instances,
        log,
        stop=stop,
        max_runtime_seconds=_max_runtime_seconds(request),
        grace_seconds=context.stop_grace_seconds,
        periodic=periodic,
        check_disk=context.check_disk,
    )
    return KeptEnd(end, started, time.time(), log.tail)


def _max_runtime_seconds(request: Mapping[str, Any]) -> float:
    return float((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS))


def runs_image_program(request: Mapping[str, Any]) -> bool:
    """Whether a request without an entry point runs here, since one of our programs replaces that of its image."""
    try:
        return bool(_plan_analyzer(request))
    except JobFailure:
        return False


def _plan_program(request: Mapping[str, Any], contents: ImageContents) -> list[str]:
    """The command of the job.

    :raises JobFailure: the job relies on a program that does not run here.
    """
    application = request["AppSpecification"]
    argv = contents.plan_command(
        application.get("ContainerEntrypoint") or (), application.get("ContainerArguments") or ()
    )
    argv = argv or _plan_analyzer(request)
    if not argv:
        raise JobFailure(
            "ClientError: the request has no ContainerEntrypoint, so it relies on the program inside the image "
            f"'{application['ImageUri']}'. {MISSING_PROGRAM}"
        )
    return argv


def _plan_analyzer(request: Mapping[str, Any]) -> list[str]:
    """The command that replaces the program of the image of the model monitor or of Clarify; empty for other images."""
    repository = parse_image_uri(request["AppSpecification"]["ImageUri"]).name
    if repository == _CLARIFY_REPOSITORY:
        return ["python", str(PROGRAMS_DIRECTORY / "bias_analyzer.py")]
    if repository != _MONITOR_REPOSITORY:
        return []
    analysis = (request.get("Environment") or {}).get("analysis_type", "DATA_QUALITY")
    if analysis not in _MONITOR_PROGRAMS:
        raise JobFailure(
            f"ClientError: of the model monitor's analyses {' and '.join(_MONITOR_PROGRAMS)} run here, not {analysis}. "
            "Let a stand-in perform the step, or run it on AWS."
        )
    return ["python", str(PROGRAMS_DIRECTORY / _MONITOR_PROGRAMS[analysis])]


def _refuse_unsupported(request: Mapping[str, Any]) -> None:
    for entry in request.get("ProcessingInputs") or ():
        name = entry.get("InputName")
        if (entry.get("S3Input") or {}).get("S3InputMode") == "Pipe":
            raise JobFailure(f"ClientError: input '{name}' uses Pipe mode, which does not work locally. Use File mode.")


def _download_inputs(
    request: Mapping[str, Any], context: JobContext, containers: list[Container], *, note: Callable[[str], None]
) -> None:
    for entry in request.get("ProcessingInputs") or ():
        source = entry.get("S3Input")
        if not source or entry.get("AppManaged"):
            continue
        download_input(
            context.s3, source, [container.path_of(source["LocalPath"]) for container in containers], note=note
        )


def _write_configuration(spec: JobSpec, container: Container, hosts: list[str]) -> None:
    request: Mapping[str, Any] = spec.request
    application = request["AppSpecification"]
    container.write_json(
        "/opt/ml/config/processingjobconfig.json",
        {
            "ProcessingJobArn": spec.arn,
            "ProcessingJobName": spec.name,
            "AppSpecification": {"ContainerEntrypoint": None, "ContainerArguments": None, **application},
            "Environment": request.get("Environment") or {},
            "ProcessingInputs": request.get("ProcessingInputs") or [],
            "ProcessingOutputConfig": request.get("ProcessingOutputConfig"),
            "ProcessingResources": request["ProcessingResources"],
            "RoleArn": request.get("RoleArn"),
            "StoppingCondition": request.get("StoppingCondition")
            or {"MaxRuntimeInSeconds": DEFAULT_MAX_RUNTIME_SECONDS},
        },
    )
    container.write_json("/opt/ml/config/resourceconfig.json", {"current_host": container.host, "hosts": [*hosts]})


def _make_outcome(
    end: InstancesEnd, containers: list[Container], log: JobLog, details: dict[str, Any], reason: str | None
) -> JobOutcome:
    messages = (one.read_text("/opt/ml/output/message", MAX_REASON_CHARACTERS) for one in containers)
    message = next((text for text in messages if text), None)
    if message:
        details["ExitMessage"] = message
    if end.is_stopped:
        return JobOutcome("Stopped", None, message, log.tail, details)
    if reason:
        details["FailureReason"] = reason
    return JobOutcome("Failed" if reason else "Completed", reason, message, log.tail, details)


class _Outputs:
    """The outputs of a job. They are prepared before it runs, and uploaded while it runs and at its end."""

    def __init__(
        self, request: Mapping[str, Any], context: JobContext, containers: list[Container], log: JobLog
    ) -> None:
        self._context, self._containers, self._log = context, containers, log
        self._syncs: list[TreeSync] = []
        self._at_end: list[tuple[str, Mapping[str, Any]]] = []
        for entry in (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ():
            target = entry.get("S3Output")
            if not target or not target.get("LocalPath") or entry.get("AppManaged"):
                continue
            location = parse_location(target["S3Uri"])
            for container in containers:
                directory = container.path_of(target["LocalPath"])
                directory.mkdir(parents=True, exist_ok=True)
                if target.get("S3UploadMode") == "Continuous":
                    self._syncs.append(TreeSync(context.s3, directory, location))
            if target.get("S3UploadMode") != "Continuous":
                self._at_end.append((entry.get("OutputName", ""), target))

    @property
    def periodic(self) -> list[PeriodicWork]:
        """The uploads while the job runs."""
        return [PeriodicWork(sync.run, _SYNC_SECONDS) for sync in self._syncs]

    def upload(self, end: InstancesEnd) -> None:
        """Upload what is left to upload, and warn of an output that got nothing."""
        for sync in self._syncs:
            sync.run()
        if end.failure or end.is_stopped or end.is_timed_out:
            return
        for name, target in self._at_end:
            location = parse_location(target["S3Uri"])
            count = sum(
                upload_tree(self._context.s3, container.path_of(target["LocalPath"]), location)
                for container in self._containers
            )
            if count == 0:
                # The service says nothing here, and the job succeeds; the next step then misses its input.
                host = self._containers[0].host
                self._log.add(
                    host, f"WARNING: output '{name}' is empty: the job wrote no file to {target['LocalPath']}."
                )
        self._log.flush()
