"""A training job: SageMaker's contract for training containers.

The program is the entry point of the request (for notebook jobs one of our programs), else the script of script mode,
else the built-in XGBoost algorithm.

Choices where the service's behaviour is not documented: artifacts are kept after success, a stop and a time-out, but
not after a failure. If the models of several instances have files of the same name, that of ``algo-1`` counts.

Source: Amazon SageMaker developer guide, "Use your own training algorithms".
"""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.archives import iter_files, pack_tar_gz
from airflow_sm_pipelines.engine.jobs.container import PROGRAMS_DIRECTORY, Container
from airflow_sm_pipelines.engine.jobs.distribution import check_distribution, make_variables
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
from airflow_sm_pipelines.engine.jobs.s3_transfer import TreeSync, parse_location, upload_file, upload_tree
from airflow_sm_pipelines.engine.jobs.training_inputs import (
    DEFAULT_CHECKPOINT_PATH,
    download_channels,
    download_checkpoints,
    place_source_code,
    plan_instance_groups,
    read_hyperparameter,
    write_configuration,
)
from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS
from airflow_sm_pipelines.engine.rules.job_documents import DEFAULT_MAX_RUNTIME_SECONDS
from airflow_sm_pipelines.engine.rules.training_metrics import XGBOOST_METRIC_DEFINITIONS, MetricCollector

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs.image_contents import ImageContents
    from airflow_sm_pipelines.engine.jobs.instances import Instance
    from airflow_sm_pipelines.engine.jobs.job_log import JobLog
    from airflow_sm_pipelines.engine.jobs.job_spec import JobContext, JobSpec
    from airflow_sm_pipelines.engine.jobs.local_images import LocalImage
    from airflow_sm_pipelines.engine.jobs.training_inputs import InstanceGroup
    from airflow_sm_pipelines.engine.rules.job_documents import EndStatus

_SYNC_SECONDS = 5.0
_TENSORBOARD_PATH = "/opt/ml/output/tensorboard"
"""Source: the API reference, ``TensorBoardOutputConfig``."""
_FIRST_SAVE_MODEL_VERSION = (1, 3)
"""aws/sagemaker-xgboost-container: up to the 1.2-2 branch train.py pickles the Booster, later it calls save_model."""
_NOTEBOOK_SCHEDULER = "amazon_sagemaker_scheduler"
"""The program of NotebookJob steps, which only their image has."""
_FUNCTION_DRIVER = "/sagemaker_remote_function_bootstrap/job_driver.sh"
_SDK_VERSION_OPTION = "--client_sagemaker_pysdk_version"
"""SDK v3 gives the version of its package ``sagemaker``, 3 or later, or 3.0.0.dev0 where only its parts are there."""
_KEPT_PREFIXES = ("AlgorithmError", "ClientError", "InternalServerError")


def run_training_job(spec: JobSpec, context: JobContext, log: JobLog, stop: threading.Event) -> JobOutcome:
    """Run a training job to its end.

    :raises JobFailure: it failed before or after its program ran.
    """
    request: Mapping[str, Any] = spec.request
    algorithm = request["AlgorithmSpecification"]
    groups = plan_instance_groups(request.get("ResourceConfig") or {})
    hosts = [host for group in groups for host in group.hosts]
    _check_image(algorithm)
    kept = read_kept_end(spec.directory)
    note = ignore_line if kept else partial(log.add, hosts[0])
    image = _prepare_image(algorithm, context, note)
    argv, is_xgboost = _plan_program(request, image.contents)
    if is_xgboost and len(hosts) > 1:
        note(f"Built-in XGBoost: one process trains on the data of all {len(hosts)} instances.")
        hosts = hosts[:1]
        groups = tuple(replace(group, hosts=tuple(hosts)) for group in groups)
    containers = [Container.of_job(spec.directory, host, image.contents, is_over=kept is not None) for host in hosts]
    syncs = [*_plan_checkpoints(request, context, containers), *_plan_tensorboard(spec, context, containers)]
    if kept is None:
        metrics = _collect_metrics(algorithm, log, hosts[0], is_xgboost=is_xgboost)
        kept = _run_programs(spec, context, log, stop, argv, image, containers, groups, syncs, metrics)
        kept.keep(spec.directory)
    else:
        log.restore_tail(kept.log_tail)
    for sync in syncs:
        sync.run()
    status, secondary, reason = _classify_end(kept.end, argv, containers, log, context, _max_runtime_seconds(request))
    details = _make_details(kept, secondary, reason)
    if status != "Failed":
        details |= _upload_artifacts(spec, context, containers, log)
    log.flush()
    return JobOutcome(status, reason, None, log.tail, details)


def _run_programs(
    spec: JobSpec,
    context: JobContext,
    log: JobLog,
    stop: threading.Event,
    argv: list[str],
    image: LocalImage,
    containers: list[Container],
    groups: tuple[InstanceGroup, ...],
    syncs: list[TreeSync],
    metrics: MetricCollector,
) -> KeptEnd:
    """Download what the job needs, and run the program of each instance to its end."""
    request: Mapping[str, Any] = spec.request
    note = partial(log.add, containers[0].host)
    if line := check_distribution(request, len(containers)):
        note(line)
    download_channels(request, context, containers, groups, note=note)
    if request.get("CheckpointConfig"):
        download_checkpoints(request["CheckpointConfig"], context, containers)
    submit_directory = read_hyperparameter(request, "sagemaker_submit_directory")
    for container in containers:
        write_configuration(request, container, groups)
        if submit_directory:
            place_source_code(submit_directory, context, container)
    instances = _plan_instances(spec, context, containers, argv, image, note)
    started = time.time()
    end = run_instances(
        instances,
        log,
        stop=stop,
        max_runtime_seconds=_max_runtime_seconds(request),
        grace_seconds=context.stop_grace_seconds,
        periodic=[PeriodicWork(sync.run, _SYNC_SECONDS) for sync in syncs],
        check_disk=context.check_disk,
    )
    found: dict[str, Any] = {"FinalMetricDataList": metrics.final_metrics(), "$metric_summaries": metrics.summaries()}
    return KeptEnd(end, started, time.time(), log.tail, found)


def _max_runtime_seconds(request: Mapping[str, Any]) -> float:
    return float((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", DEFAULT_MAX_RUNTIME_SECONDS))


def _plan_instances(
    spec: JobSpec,
    context: JobContext,
    containers: list[Container],
    argv: list[str],
    image: LocalImage,
    note: Callable[[str], None],
) -> list[Instance]:
    request: Mapping[str, Any] = spec.request
    hosts = [container.host for container in containers]
    wanted = bool(request.get("EnableNetworkIsolation"))
    is_offline = plan_network(context.isolation, hosts, is_offline=wanted, note=note)
    return [
        container.plan_instance(
            argv,
            image=image,
            context=context,
            contract={"TRAINING_JOB_NAME": spec.name, "TRAINING_JOB_ARN": spec.arn, **make_variables(request)},
            requested=request.get("Environment") or {},
            hosts=hosts,
            is_offline=is_offline,
        )
        for container in containers
    ]


def runs_image_program(request: Mapping[str, Any]) -> bool:
    """Whether the program inside the image of a request runs here: the built-in XGBoost, or that of notebook jobs."""
    algorithm = request.get("AlgorithmSpecification") or {}
    if algorithm.get("ContainerEntrypoint"):
        return bool(algorithm["ContainerEntrypoint"] == [_NOTEBOOK_SCHEDULER])
    return parse_image_uri(algorithm.get("TrainingImage") or "").is_built_in_xgboost


def _prepare_image(algorithm: Mapping[str, Any], context: JobContext, note: Callable[[str], None]) -> LocalImage:
    needed = find_function_requirements(algorithm)
    if needed:
        note(f"{' '.join(needed)} stands beside the image's packages for this @step function; on AWS the image has it.")
    return prepare_image(context.images, algorithm["TrainingImage"], cache_dir=context.cache_dir, log=note, also=needed)


def find_function_requirements(algorithm: Mapping[str, Any]) -> tuple[str, ...]:
    """What a ``@step`` function of SDK v3 needs in its image. SDK v2's installs itself there.

    :param algorithm: the job's ``AlgorithmSpecification``.
    """
    if not str((algorithm.get("ContainerEntrypoint") or [""])[-1]).endswith(_FUNCTION_DRIVER):
        return ()
    arguments = [str(argument) for argument in algorithm.get("ContainerArguments") or ()]
    versions = [text for name, text in pairwise(arguments) if name == _SDK_VERSION_OPTION]
    is_v3 = bool(versions) and versions[0].partition(".")[0] not in ("1", "2")
    return ("sagemaker-core>=2.27,<3",) if is_v3 else ()


def _collect_metrics(algorithm: Mapping[str, Any], log: JobLog, host: str, *, is_xgboost: bool) -> MetricCollector:
    definitions = algorithm.get("MetricDefinitions") or (XGBOOST_METRIC_DEFINITIONS if is_xgboost else ())
    metrics = MetricCollector(definitions)
    for fault in metrics.faults:
        log.add(host, f"WARNING: {fault}.")
    log.listeners.append(metrics.read_line)
    return metrics


def _make_details(kept: KeptEnd, secondary: str, reason: str | None) -> dict[str, Any]:
    details: dict[str, Any] = {
        "TrainingStartTime": kept.started,
        "TrainingEndTime": kept.ended,
        "TrainingTimeInSeconds": max(1, int(kept.ended - kept.started)),
        "BillableTimeInSeconds": max(1, round(kept.ended - kept.started)),
        "SecondaryStatus": secondary,
        **kept.found,
    }
    return {**details, "FailureReason": reason} if reason else details


def _check_image(algorithm: Mapping[str, Any]) -> None:
    if "TrainingImage" not in algorithm:
        raise JobFailure(
            "ClientError: the request names no TrainingImage (it is a marketplace algorithm or a serverless job): this "
            "needs AWS."
        )


def _plan_program(request: Mapping[str, Any], contents: ImageContents) -> tuple[list[str], bool]:
    """The command of the job, and whether it is the built-in XGBoost algorithm.

    :raises JobFailure: the job relies on a program that does not run here.
    """
    algorithm = request["AlgorithmSpecification"]
    if algorithm.get("ContainerEntrypoint") == [_NOTEBOOK_SCHEDULER]:
        return ["python", str(PROGRAMS_DIRECTORY / "notebook_program.py")], False
    arguments = algorithm.get("ContainerArguments") or ()
    if own := contents.plan_command(algorithm.get("ContainerEntrypoint") or (), arguments, default=("train",)):
        return own, False
    image = parse_image_uri(algorithm["TrainingImage"])
    # Dockerfiles set the variable for the toolkit, whose program is then `train`.
    if read_hyperparameter(request, "sagemaker_program") or "SAGEMAKER_PROGRAM" in contents.env:
        options = ["module"] if image.is_built_in_xgboost else []
        return ["python", str(PROGRAMS_DIRECTORY / "training_program.py"), *options], False
    if not image.is_built_in_xgboost:
        raise JobFailure(
            "ClientError: the request has neither a ContainerEntrypoint nor a sagemaker_program, so it relies on the "
            f"program inside the image '{image.text}'. Of the built-in algorithms only XGBoost runs here. If it is an "
            f"image of your own: {MISSING_PROGRAM}"
        )
    model_format = "pickle" if image.version and image.version < _FIRST_SAVE_MODEL_VERSION else "save_model"
    return ["python", str(PROGRAMS_DIRECTORY / "xgboost_algorithm.py"), model_format], True


def _plan_tensorboard(spec: JobSpec, context: JobContext, containers: list[Container]) -> list[TreeSync]:
    """The uploads of what TensorBoard shows, to where the SDKs look for it."""
    request: Mapping[str, Any] = spec.request
    wanted = request.get("TensorBoardOutputConfig")
    if not wanted:
        return []
    target = parse_location(wanted["S3OutputPath"]).child(spec.name, "tensorboard-output")
    directories = [container.path_of(wanted.get("LocalPath") or _TENSORBOARD_PATH) for container in containers]
    for directory in directories:
        directory.mkdir(parents=True, exist_ok=True)
    return [TreeSync(context.s3, directory, target) for directory in directories]


def _plan_checkpoints(request: Mapping[str, Any], context: JobContext, containers: list[Container]) -> list[TreeSync]:
    checkpoint = request.get("CheckpointConfig")
    if not checkpoint:
        return []
    target = parse_location(checkpoint["S3Uri"])
    local_path = checkpoint.get("LocalPath") or DEFAULT_CHECKPOINT_PATH
    return [TreeSync(context.s3, container.path_of(local_path), target) for container in containers]


def _classify_end(
    end: InstancesEnd,
    argv: list[str],
    containers: list[Container],
    log: JobLog,
    context: JobContext,
    limit: float,
) -> tuple[EndStatus, str, str | None]:
    """The status, secondary status and reason.

    DescribeTrainingJob documents ``MaxRuntimeExceeded`` as a secondary status of ``Stopped``.
    """
    if end.is_stopped:
        return "Stopped", "Stopped", None
    if end.is_timed_out:
        return "Stopped", "MaxRuntimeExceeded", explain_timeout(limit)
    if end.failure is None:
        return "Completed", "Completed", None
    host, failed = end.failure
    container = next(one for one in containers if one.host == host)
    text = container.read_text("/opt/ml/output/failure", MAX_REASON_CHARACTERS)
    if text is None:
        text = explain_failure(
            argv, failed, host=host if len(containers) > 1 else None, log_tail=log.tail, isolation=context.isolation
        )
    if not text.startswith(_KEPT_PREFIXES):
        text = f"AlgorithmError: {text}"
    suffix = f", exit code: {failed.exit_code}" if failed.exit_code is not None else ""
    return "Failed", "Failed", shorten_reason(text[: MAX_REASON_CHARACTERS - len(suffix)] + suffix)


def _upload_artifacts(spec: JobSpec, context: JobContext, containers: list[Container], log: JobLog) -> dict[str, Any]:
    """Upload ``/opt/ml/model`` and ``/opt/ml/output/data``, and give the members of the Describe answer about them."""
    request: Mapping[str, Any] = spec.request
    output = request["OutputDataConfig"]
    target = parse_location(output["S3OutputPath"]).child(spec.name, "output")
    is_packed = output.get("CompressionType", "GZIP") != "NONE"
    model = _merge(spec, containers, "model")
    data = _merge(spec, containers, "output/data")
    if not any(iter_files(model)):
        log.add(containers[0].host, "WARNING: the job wrote nothing to /opt/ml/model: its model artifact is empty.")
    if is_packed:
        archives = spec.directory / "artifacts"
        archives.mkdir(exist_ok=True)
        pack_tar_gz(model, archives / "model.tar.gz")
        upload_file(context.s3, archives / "model.tar.gz", target.child("model.tar.gz"))
        if any(iter_files(data)):
            pack_tar_gz(data, archives / "output.tar.gz")
            upload_file(context.s3, archives / "output.tar.gz", target.child("output.tar.gz"))
        return {"ModelArtifacts": {"S3ModelArtifacts": target.child("model.tar.gz").uri}}
    upload_tree(context.s3, model, target.child("model"))
    upload_tree(context.s3, data, target.child("data"))
    return {"ModelArtifacts": {"S3ModelArtifacts": target.child("model").uri + "/"}}


def _merge(spec: JobSpec, containers: list[Container], name: str) -> Path:
    """One directory with the files of all instances."""
    if len(containers) == 1:
        return containers[0].opt_ml / name
    merged = spec.directory / "merged" / name
    merged.mkdir(parents=True, exist_ok=True)
    for container in reversed(containers):
        shutil.copytree(container.opt_ml / name, merged, symlinks=True, dirs_exist_ok=True)
    return merged
