"""What a training job runs with in a rehearsal."""

from __future__ import annotations

import re
from copy import deepcopy
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.training import runs_image_program
from airflow_sm_pipelines.engine.jobs.training_inputs import read_hyperparameter
from airflow_sm_pipelines.rehearsal.job_plan import (
    REHEARSAL_IMAGE,
    JobPlan,
    JobScene,
    find_program,
    is_interpreter,
    stand_in_environment,
)
from airflow_sm_pipelines.rehearsal.samples import STAND_IN_PROGRAM, inference_text, pack_source
from airflow_sm_pipelines.rehearsal.sample_store import is_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.engine.jobs import JobSpec

_CHANNELS = PurePosixPath("/opt/ml/input/data")
_DEFAULT_METRIC = 0.5


def plan_training(spec: JobSpec, scene: JobScene) -> JobPlan:
    """Plan the job."""
    request: dict[str, Any] = deepcopy(dict(spec.request))
    plan = JobPlan(request)
    algorithm = request.setdefault("AlgorithmSpecification", {})
    argv = [*(algorithm.get("ContainerEntrypoint") or ()), *(algorithm.get("ContainerArguments") or ())]
    script = read_hyperparameter(request, "sagemaker_program")
    is_builtin = False
    if argv:
        program = find_program(argv)
        source = _find_channel(request, program)
        if source and program is not None and is_interpreter(argv):
            # The channel's folder is the first part below the folder of all channels.
            relative = PurePosixPath(*program.relative_to(_CHANNELS).parts[1:])
            scene.ensure_script(plan, source, relative)
        elif not (
            is_interpreter(argv) and program is None and scene.has_image(algorithm.get("TrainingImage") or "")
        ) and not _is_whole_notebook(request, scene):
            _replace_program(plan)
    elif script:
        _ensure_source(plan, scene, script)
    elif runs_image_program(request):
        is_builtin = True
    else:
        _replace_program(plan)
    for given in _iter_sources(request):
        default = "text/libsvm" if is_builtin else ""
        scene.ensure_input(
            plan,
            given["uri"],
            data_type=given["data_type"],
            content_type=given["content_type"] or default,
        )
    output = (request.get("OutputDataConfig") or {}).get("S3OutputPath")
    for target in (output, (request.get("CheckpointConfig") or {}).get("S3Uri")):
        if is_uri(target):
            scene.store.ensure_bucket(str(target))
    if plan.is_stood_in:
        _stand_in(plan, scene, spec.name)
    if output:
        kept = scene.outputs.made if plan.is_stood_in else scene.outputs.real
        kept.append(f"{output.rstrip('/')}/{spec.name}")
    return plan


def _is_whole_notebook(request: Mapping[str, Any], scene: JobScene) -> bool:
    """Whether a notebook job has its notebook."""
    return runs_image_program(request) and all(
        scene.store.find_first(source["uri"]) is not None and not scene.store.is_sample(source["uri"])
        for source in _iter_sources(request)
    )


def _replace_program(plan: JobPlan) -> None:
    """Have the stand-in run where the image's own program would."""
    algorithm = plan.request["AlgorithmSpecification"]
    image = algorithm.get("TrainingImage")
    plan.is_stood_in = True
    if runs_image_program(plan.request):
        plan.notes.append("notebook")
    else:
        plan.notes.append(
            f"program of the image {parse_image_uri(image).repository}" if image else "a job without image"
        )
    algorithm["ContainerEntrypoint"] = ["python", str(STAND_IN_PROGRAM)]


def _ensure_source(plan: JobPlan, scene: JobScene, script: str) -> None:
    submitted = read_hyperparameter(plan.request, "sagemaker_submit_directory") or ""
    path = PurePosixPath(submitted)
    uri = submitted if is_uri(submitted) else _find_channel(plan.request, path)
    if not uri:
        return
    if scene.store.find_first(uri) is None:
        is_archive = uri.endswith(".gz") or is_uri(submitted)
        scene.store.put(uri if is_archive else f"{uri.rstrip('/')}/{path.name}", pack_source(script))
    elif not scene.store.is_sample(uri):
        return
    plan.is_stood_in = True
    plan.notes.append(f"script {script}")


def _find_channel(request: Mapping[str, Any], path: PurePosixPath | None) -> str | None:
    """The address of the channel that a path of the container is in."""
    if path is None or not path.is_relative_to(_CHANNELS) or len(path.parts) <= len(_CHANNELS.parts):
        return None
    name = path.relative_to(_CHANNELS).parts[0]
    return next((source["uri"] for source in _iter_sources(request) if source["name"] == name), None)


def _iter_sources(request: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for channel in request.get("InputDataConfig") or ():
        source = (channel.get("DataSource") or {}).get("S3DataSource") or {}
        if source.get("S3Uri"):
            yield {
                "name": channel["ChannelName"],
                "uri": source["S3Uri"],
                "data_type": source.get("S3DataType", "S3Prefix"),
                "content_type": channel.get("ContentType") or "",
            }


def _stand_in(plan: JobPlan, scene: JobScene, job: str) -> None:
    request = plan.request
    algorithm = request["AlgorithmSpecification"]
    algorithm["TrainingImage"] = REHEARSAL_IMAGE
    algorithm["TrainingInputMode"] = "File"
    request["InputDataConfig"] = [
        channel
        for channel in request.get("InputDataConfig") or ()
        if (channel.get("DataSource") or {}).get("S3DataSource")
    ]
    for channel in request["InputDataConfig"]:
        channel["InputMode"] = "File"
        source = channel["DataSource"]["S3DataSource"]
        if source.get("S3DataType") not in (None, "S3Prefix", "ManifestFile"):
            source["S3DataType"] = "S3Prefix"
    known = _known_metrics(scene)
    names = [definition["Name"] for definition in algorithm.get("MetricDefinitions") or ()]
    metrics = {name: known.get(name, _DEFAULT_METRIC) for name in [*names, *known]}
    algorithm["MetricDefinitions"] = [
        {"Name": name, "Regex": rf"rehearsal {re.escape(name)}=(\S+)"} for name in metrics
    ]
    files = {"/opt/ml/model/model.json": "{}", "/opt/ml/model/code/inference.py": inference_text()}
    lines = [f"rehearsal {name}={value}" for name, value in metrics.items()]
    what = scene.step.name if scene.step is not None else job
    request["Environment"] = stand_in_environment(request, what=what, files=files, lines=lines)


def _known_metrics(scene: JobScene) -> dict[str, Any]:
    """The metrics that somebody asks for: a tuning job's objective, and properties of the step."""
    if scene.step is None:
        return {}
    wanted: dict[str, Any] = {}
    listed: Any = scene.values.properties.get(scene.step.name, {}).get("FinalMetricDataList")
    if isinstance(listed, dict):
        wanted = {
            name: entry.get("Value", _DEFAULT_METRIC) for name, entry in listed.items() if isinstance(entry, dict)
        }
    for name in _objectives(scene.step.arguments):
        wanted.setdefault(name, _DEFAULT_METRIC)
    return wanted


def _objectives(arguments: Any) -> Iterator[str]:
    definitions = [arguments.get("TrainingJobDefinition") or {}, *(arguments.get("TrainingJobDefinitions") or ())]
    config = arguments.get("HyperParameterTuningJobConfig") or {}
    for holder, key in [
        (config, "HyperParameterTuningJobObjective"),
        *((one, "TuningObjective") for one in definitions),
    ]:
        name = (holder.get(key) or {}).get("MetricName")
        if isinstance(name, str):
            yield name
