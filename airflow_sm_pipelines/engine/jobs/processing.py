"""A processing job: SageMaker's contract for processing containers, with a process per instance.

Choices where the service's behaviour is not documented: outputs in ``EndOfJob`` mode are uploaded only after success;
``Continuous`` ones every few seconds and at the end, however the job ended; a job past its time is Failed.

Source: Amazon SageMaker developer guide, "How Amazon SageMaker Processing runs your processing container image".
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY, Container
from airflow_sm_pipelines.engine.jobs.failures import JobFailure, describe_failure, describe_timeout, shorten_reason
from airflow_sm_pipelines.engine.jobs.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.instances import InstancesEnd, PeriodicWork, run_instances
from airflow_sm_pipelines.engine.jobs.interpreters import resolve_interpreter
from airflow_sm_pipelines.engine.jobs.job import JobOutcome
from airflow_sm_pipelines.engine.jobs.storage import TreeSync, download, list_input, parse_s3_uri, shard, upload_tree

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

    from airflow_sm_pipelines.engine.jobs.job import JobContext, JobSpec
    from airflow_sm_pipelines.engine.jobs.job_log import JobLog

_SYNC_SECONDS = 5.0
_EXIT_MESSAGE_CHARACTERS = 1024
_MAX_RUNTIME_SECONDS = 86_400
_MONITOR_REPOSITORY = "sagemaker-model-monitor-analyzer"
_CLARIFY_REPOSITORY = "sagemaker-clarify-processing"
_MONITOR_PROGRAMS = {"DATA_QUALITY": "data_quality_analyzer.py", "MODEL_QUALITY": "model_quality_analyzer.py"}


def run_processing_job(spec: JobSpec, context: JobContext, log: JobLog, stop: threading.Event) -> JobOutcome:
    """Run a processing job to its end; inputs are downloaded first, which a stop does not interrupt.

    :raises JobFailure: it failed before or after its program ran.
    """
    request: Mapping[str, Any] = spec.request
    application = request["AppSpecification"]
    argv = [*application.get("ContainerEntrypoint", ()), *application.get("ContainerArguments", ())]
    if not argv:
        argv = _plan_analyzer(parse_image_uri(application["ImageUri"]).repository, request)
    if not argv:
        raise JobFailure(
            "ClientError: the request has no ContainerEntrypoint, so it relies on the program inside the image "
            f"'{application['ImageUri']}', which does not run here. Name the program with an entry point."
        )
    _refuse_unsupported(request)
    count = int(request["ProcessingResources"]["ClusterConfig"]["InstanceCount"])
    hosts = [f"algo-{number}" for number in range(1, count + 1)]
    interpreter = resolve_interpreter(
        context.images, application["ImageUri"], cache_dir=context.cache_dir, log=partial(log.add, hosts[0])
    )
    containers = [Container.create(spec.directory, host) for host in hosts]
    _download_inputs(request, context, containers)
    for container in containers:
        _write_configuration(spec, container, hosts)
    outputs = _Outputs(request, context, containers, log)
    instances = [
        container.plan_instance(
            argv,
            interpreter=interpreter,
            context=context,
            contract={},
            requested=request.get("Environment") or {},
            hosts=hosts,
        )
        for container in containers
    ]
    limit = (request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", _MAX_RUNTIME_SECONDS)
    started = time.time()
    end = run_instances(
        instances,
        log,
        stop=stop,
        max_runtime_seconds=float(limit),
        grace_seconds=context.stop_grace_seconds,
        periodic=outputs.periodic,
    )
    outputs.upload(end)
    message = next(
        (text for one in containers if (text := one.read_text("/opt/ml/output/message", _EXIT_MESSAGE_CHARACTERS))),
        None,
    )
    details: dict[str, Any] = {"ProcessingStartTime": started, "ProcessingEndTime": time.time()}
    if message:
        details["ExitMessage"] = message
    if end.is_stopped:
        return JobOutcome("Stopped", None, message, log.tail, details)
    reason = None
    if end.is_timed_out:
        reason = describe_timeout(float(limit))
    elif end.failure:
        host, failed = end.failure
        described = describe_failure(
            argv, failed, host=host if count > 1 else None, log_tail=log.tail, isolation=context.isolation
        )
        reason = shorten_reason(f"AlgorithmError: {described}")
    if reason:
        details["FailureReason"] = reason
    return JobOutcome("Failed" if reason else "Completed", reason, message, log.tail, details)


def runs_image_program(request: Mapping[str, Any]) -> bool:
    """Whether a request without an entry point runs here: a program of ours takes the place of its image's own."""
    try:
        return bool(_plan_analyzer(parse_image_uri(request["AppSpecification"]["ImageUri"]).repository, request))
    except JobFailure:
        return False


def _plan_analyzer(repository: str, request: Mapping[str, Any]) -> list[str]:
    """Give the command that stands in for the program of the model monitor's or Clarify's image; nothing for others."""
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
        if entry.get("DatasetDefinition"):
            raise JobFailure(
                f"ClientError: input '{name}' is a DatasetDefinition (Athena or Redshift), which needs AWS."
            )
        if (entry.get("S3Input") or {}).get("S3InputMode") == "Pipe":
            raise JobFailure(f"ClientError: input '{name}' uses Pipe mode, which does not work locally. Use File mode.")
    for entry in (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ():
        if entry.get("FeatureStoreOutput"):
            raise JobFailure(
                f"ClientError: output '{entry.get('OutputName')}' goes to a feature group, which needs AWS."
            )


def _download_inputs(request: Mapping[str, Any], context: JobContext, containers: list[Container]) -> None:
    for entry in request.get("ProcessingInputs") or ():
        source = entry.get("S3Input")
        if not source or entry.get("AppManaged"):
            continue
        objects = list_input(context.s3, source["S3Uri"], data_type=source.get("S3DataType", "S3Prefix"))
        is_sharded = source.get("S3DataDistributionType") == "ShardedByS3Key"
        for index, container in enumerate(containers):
            wanted = shard(objects, index, len(containers)) if is_sharded else objects
            download(context.s3, wanted, container.path_of(source["LocalPath"]))


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
            "StoppingCondition": request.get("StoppingCondition") or {"MaxRuntimeInSeconds": _MAX_RUNTIME_SECONDS},
        },
    )
    container.write_json("/opt/ml/config/resourceconfig.json", {"current_host": container.host, "hosts": [*hosts]})


class _Outputs:
    """The outputs of a job: made ready before it runs, uploaded while and after it does."""

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
            location = parse_s3_uri(target["S3Uri"])
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
        """Upload what is left to upload, and say which output got nothing."""
        for sync in self._syncs:
            sync.run()
        if end.failure or end.is_stopped or end.is_timed_out:
            return
        for name, target in self._at_end:
            location = parse_s3_uri(target["S3Uri"])
            count = sum(
                upload_tree(self._context.s3, container.path_of(target["LocalPath"]), location)
                for container in self._containers
            )
            if count == 0:
                # The service is silent here, and the job succeeds; the next step then misses its input.
                host = self._containers[0].host
                self._log.add(
                    host, f"WARNING: output '{name}' is empty: the job wrote no file to {target['LocalPath']}."
                )
        self._log.flush()
