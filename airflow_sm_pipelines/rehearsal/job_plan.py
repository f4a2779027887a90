"""What a job runs with in a rehearsal: its own program where there is one, else a stand-in, and data that is there.

Belongs here: the plans of processing, training and transform jobs. Does not belong here: running the jobs, which the
engine does with the planned request.
"""

from __future__ import annotations

import json
import re
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs import processing, training
from airflow_sm_pipelines.engine.jobs.images import ImageError
from airflow_sm_pipelines.engine.jobs.local_images import plan_image
from airflow_sm_pipelines.engine.jobs.model_server import can_serve
from airflow_sm_pipelines.engine.jobs.training_inputs import read_hyperparameter
from airflow_sm_pipelines.rehearsal.sample_store import is_uri
from airflow_sm_pipelines.rehearsal.sample_values import SAMPLE_BUCKET
from airflow_sm_pipelines.rehearsal.samples import (
    STAND_IN_PROGRAM,
    inference_text,
    pack_model,
    pack_source,
    program_text,
    sample_bytes,
    sample_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonValue, Step
    from airflow_sm_pipelines.engine.jobs import ImageCatalog, JobSpec
    from airflow_sm_pipelines.rehearsal.sample_store import SampleStore
    from airflow_sm_pipelines.rehearsal.sample_values import SampleValues

REHEARSAL_IMAGE = "rehearsal"
"""The image of stood-in jobs: the Python that runs the rehearsal."""

_PLAN_VARIABLE = "SM_PIPELINES_REHEARSAL"
"""Environment variable of a stand-in: what it writes, as JSON."""

_SHELLS = ("sh", "bash")
_SCRIPT = re.compile(r"/opt/ml/[^\s'\";&|]+\.(?:sh|py)\b")
_MONITOR = "sagemaker-model-monitor-analyzer"
_REPORTS = {
    **{f"{name}.json": sample_text(f"{name}.json") for name in ("statistics", "constraints")},
    "constraint_violations.json": '{"violations": []}',
    "analysis.json": "{}",
}
"""The files that the analyses behind check steps write."""

_CHANNELS = PurePosixPath("/opt/ml/input/data")
_DEFAULT_METRIC = 0.5
_MODEL_URI = f"s3://{SAMPLE_BUCKET}/model/model.tar.gz"


@dataclass(slots=True)
class RehearsedOutputs:
    """Where the jobs of the rehearsal write. What a real program should have written is never made up.

    :ivar real: the S3 addresses that real programs fill.
    :ivar made: the S3 addresses that stand-ins fill.
    """

    real: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)

    def covers(self, uri: str) -> bool:
        """Whether a real program has to fill the address."""
        return _is_below(uri, self.real)

    def has_made(self, uri: str) -> bool:
        """Whether a stand-in filled the address."""
        return _is_below(uri, self.made)


def _is_below(uri: str, targets: Sequence[str]) -> bool:
    return any(uri == target or uri.startswith(target.rstrip("/") + "/") for target in targets)


@dataclass(slots=True)
class JobPlan:
    """A job as the rehearsal runs it.

    :ivar request: the job's Create request, changed where something is stood in for.
    :ivar containers: the containers of a transform job's model, changed likewise.
    :ivar is_stood_in: whether a program of the rehearsal runs in place of the job's own.
    :ivar notes: what was stood in for, in words, such as ``script train.py``.
    """

    request: dict[str, Any]
    containers: tuple[dict[str, Any], ...] = ()
    is_stood_in: bool = False
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PlanContext:
    """What a job's plan is made from.

    :param store: the endpoint's S3.
    :param values: what the pipeline's stand-ins give.
    :param outputs: where its jobs write; a plan adds the job's own.
    :param images: the images that run here.
    :param step: the step that started the job; None for a job that a script started.
    :param features_only: the outputs that a transform reads unfiltered, as pairs of step and output name.
    :param content_types: the content types in which training jobs read outputs, by step and output name.
    """

    store: SampleStore
    values: SampleValues
    outputs: RehearsedOutputs
    images: ImageCatalog
    step: Step | None
    features_only: frozenset[tuple[str, str]] = frozenset()
    content_types: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def ensure_input(
        self, plan: JobPlan, uri: object, *, data_type: str = "S3Prefix", content_type: str = "", has_label: bool = True
    ) -> None:
        """Put a sample where an input has no data, unless a real program should have filled it.

        :param plan: gets a note where a sample was put.
        :param uri: the input's S3 address; anything else has no effect.
        :param data_type: as in the API: ``S3Prefix`` or ``ManifestFile``.
        :param content_type: the content type in which the job reads the input.
        :param has_label: whether the sample's rows begin with a label.
        """
        if not is_uri(uri) or self.outputs.covers(str(uri)):
            return
        text = str(uri)

        def make(name: str) -> bytes:
            return sample_bytes(name, content_type=content_type, has_label=has_label)

        if data_type == "ManifestFile":
            folder = text.rpartition("/")[0] + "/rehearsal/"
            if self.store.find_first(text) is None:
                self.store.put(text, json.dumps([{"prefix": folder}, "sample.csv"]).encode())
                self.store.put(folder + "sample.csv", make("sample.csv"))
                plan.notes.append(f"data {text}")
        elif self.store.ensure(text, make):
            plan.notes.append(f"data {text}")

    def is_made_up(self, uri: str) -> bool:
        """Whether the data at an address come from the rehearsal, or would do so."""
        if self.outputs.covers(uri):
            return False
        return self.outputs.has_made(uri) or self.store.find_first(uri) is None or self.store.is_sample(uri)

    def has_image(self, uri: str) -> bool:
        """Whether an environment of this machine takes the image's place."""
        try:
            self.images.resolve(uri)
        except ImageError:
            return False
        return True

    def has_program(self, uri: str, *default: str) -> bool:
        """Whether the image's own program runs here, as its entry in the table of images says.

        :param default: the argument that SageMaker gives: ``train``, or none.
        """
        try:
            return bool(plan_image(self.images, uri).contents.plan_command((), (), default=default))
        except ImageError:
            return False

    def ensure_script(self, plan: JobPlan, uri: str, relative: PurePosixPath) -> None:
        """Put a stand-in where a script is missing. The job is stood in for then, also where an earlier run put it.

        :param plan: the job's plan, which this changes.
        :param uri: the address of the script or of the folder it is in.
        :param relative: the script's path in that folder.
        """
        if self.outputs.covers(uri):
            return
        if self.store.find_first(uri) is None:
            is_itself = uri.rpartition("/")[2] == relative.name
            target = uri if is_itself else f"{uri.rstrip('/')}/{relative.as_posix()}"
            self.store.put(target, program_text(relative.name).encode())
        elif not self.store.is_sample(uri):
            return
        plan.is_stood_in = True
        plan.notes.append(f"script {relative.name}")


def plan_processing(spec: JobSpec, context: PlanContext) -> JobPlan:
    """What a processing job runs with."""
    request: dict[str, Any] = deepcopy(dict(spec.request))
    plan = JobPlan(request)
    application = request["AppSpecification"]
    argv = [*application.get("ContainerEntrypoint", ()), *application.get("ContainerArguments", ())]
    program = find_program(argv)
    source = _find_source(request, program)
    if source is not None and program is not None and is_interpreter(argv):
        context.ensure_script(plan, source["S3Uri"], program.relative_to(source["LocalPath"]))
    elif not _runs_here(argv, program, request, context):
        plan.is_stood_in = True
        repository = parse_image_uri(application["ImageUri"]).name
        is_ours = not argv and processing.runs_image_program(request)
        plan.notes.append(
            f"analysis of made-up data, {repository}" if is_ours else f"program of the image {repository}"
        )
        application["ContainerEntrypoint"] = ["python", str(STAND_IN_PROGRAM)]
    for entry in request.get("ProcessingInputs") or ():
        given = entry.get("S3Input") or {}
        if given and not entry.get("AppManaged"):
            context.ensure_input(plan, given.get("S3Uri"), data_type=given.get("S3DataType", "S3Prefix"))
    targets = _find_targets(request)
    for _, target in targets:
        context.store.ensure_bucket(target["S3Uri"])
    if plan.is_stood_in:
        _stand_in_for_processing(plan, context, spec.name)
    kept = context.outputs.made if plan.is_stood_in else context.outputs.real
    kept += [target["S3Uri"] for _, target in targets]
    return plan


def _runs_here(
    argv: list[str], program: PurePosixPath | None, request: Mapping[str, Any], context: PlanContext
) -> bool:
    image = request["AppSpecification"]["ImageUri"]
    if not argv:
        if context.has_program(image):
            return True
        # Any data have statistics. Other analyses name columns, which made-up data do not have.
        analysis = (request.get("Environment") or {}).get("analysis_type", "DATA_QUALITY")
        takes_any = parse_image_uri(image).name == _MONITOR and analysis == "DATA_QUALITY"
        if not processing.runs_image_program(request):
            return False
        return takes_any or not any(map(context.is_made_up, _iter_inputs(request)))
    return is_interpreter(argv) and program is None and context.has_image(image)


def _iter_inputs(request: Mapping[str, Any]) -> Iterator[str]:
    for entry in request.get("ProcessingInputs") or ():
        if is_uri((entry.get("S3Input") or {}).get("S3Uri")):
            yield entry["S3Input"]["S3Uri"]


def _find_source(request: Mapping[str, Any], program: PurePosixPath | None) -> Mapping[str, Any] | None:
    """The input that brings the program: the innermost one whose folder holds it."""
    given = [entry.get("S3Input") or {} for entry in request.get("ProcessingInputs") or ()]
    around = [
        source
        for source in given
        if program is not None and source.get("LocalPath") and program.is_relative_to(source["LocalPath"])
    ]
    return max(around, key=lambda source: len(source["LocalPath"].rstrip("/")), default=None)


def _find_targets(request: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    return [
        (entry.get("OutputName", ""), entry["S3Output"]) for entry in outputs if entry.get("S3Output", {}).get("S3Uri")
    ]


def _stand_in_for_processing(plan: JobPlan, context: PlanContext, job: str) -> None:
    request = plan.request
    request["AppSpecification"]["ImageUri"] = REHEARSAL_IMAGE
    kept = [entry for entry in request.get("ProcessingInputs") or () if entry.get("S3Input")]
    for entry in kept:
        entry["S3Input"]["S3InputMode"] = "File"
    request["ProcessingInputs"] = kept
    outputs = request.get("ProcessingOutputConfig") or {}
    outputs["Outputs"] = [entry for entry in outputs.get("Outputs") or () if not entry.get("FeatureStoreOutput")]
    files: dict[str, str] = {}
    name = context.step.name if context.step is not None else job
    for output, target in _find_targets(request):
        if not target.get("LocalPath"):
            continue
        folder = target["LocalPath"].rstrip("/")
        property_files = context.step.property_files if context.step else ()
        declared = [file for file in property_files if file.output_name == output]
        for file in declared:
            document = context.values.property_files.get((name, file.name), {})
            files[f"{folder}/{file.path.lstrip('/')}"] = document_text(document)
        if context.step is not None and context.step.type in ("QualityCheck", "ClarifyCheck"):
            files |= {f"{folder}/{file}": text for file, text in _REPORTS.items()}
        elif not declared:
            has_label = (name, output) not in context.features_only
            content_type = context.content_types.get((name, output), "")
            files[f"{folder}/sample.csv"] = sample_text("sample.csv", content_type=content_type, has_label=has_label)
    request["Environment"] = stand_in_environment(request, what=name, files=files)


def plan_training(spec: JobSpec, context: PlanContext) -> JobPlan:
    """What a training job runs with."""
    request: dict[str, Any] = deepcopy(dict(spec.request))
    plan = JobPlan(request)
    is_builtin = _plan_training_program(plan, context)
    for given in _iter_sources(request):
        default = "text/libsvm" if is_builtin else ""
        context.ensure_input(
            plan,
            given["uri"],
            data_type=given["data_type"],
            content_type=given["content_type"] or default,
        )
    output = (request.get("OutputDataConfig") or {}).get("S3OutputPath")
    for target in (output, (request.get("CheckpointConfig") or {}).get("S3Uri")):
        if is_uri(target):
            context.store.ensure_bucket(str(target))
    if plan.is_stood_in:
        _stand_in_for_training(plan, context, spec.name)
    if output:
        kept = context.outputs.made if plan.is_stood_in else context.outputs.real
        kept.append(f"{output.rstrip('/')}/{spec.name}")
    return plan


def _plan_training_program(plan: JobPlan, context: PlanContext) -> bool:
    """Decide which program runs; whether it is the built-in algorithm of the image."""
    request = plan.request
    algorithm = request.setdefault("AlgorithmSpecification", {})
    argv = [*(algorithm.get("ContainerEntrypoint") or ()), *(algorithm.get("ContainerArguments") or ())]
    script = read_hyperparameter(request, "sagemaker_program")
    if argv:
        _plan_training_command(plan, context, argv)
    elif script:
        _ensure_source(plan, context, script)
    elif training.runs_image_program(request):
        return True
    elif not context.has_program(algorithm.get("TrainingImage") or "", "train"):
        _replace_program(plan)
    return False


def _plan_training_command(plan: JobPlan, context: PlanContext, argv: Sequence[str]) -> None:
    request = plan.request
    program = find_program(argv)
    source = _find_channel(request, program)
    if source and program is not None and is_interpreter(argv):
        # The channel's folder is the first part below the folder of all channels.
        context.ensure_script(plan, source, PurePosixPath(*program.relative_to(_CHANNELS).parts[1:]))
        return
    image = request["AlgorithmSpecification"].get("TrainingImage") or ""
    runs_here = is_interpreter(argv) and program is None and context.has_image(image)
    if not runs_here and not _is_whole_notebook(request, context):
        _replace_program(plan)


def _is_whole_notebook(request: Mapping[str, Any], context: PlanContext) -> bool:
    """Whether a notebook job has its notebook."""
    return training.runs_image_program(request) and all(
        context.store.find_first(source["uri"]) is not None and not context.store.is_sample(source["uri"])
        for source in _iter_sources(request)
    )


def _replace_program(plan: JobPlan) -> None:
    """Let the stand-in run in place of the image's own program."""
    algorithm = plan.request["AlgorithmSpecification"]
    image = algorithm.get("TrainingImage")
    plan.is_stood_in = True
    if training.runs_image_program(plan.request):
        plan.notes.append("notebook")
    else:
        plan.notes.append(
            f"program of the image {parse_image_uri(image).repository}" if image else "a job without image"
        )
    algorithm["ContainerEntrypoint"] = ["python", str(STAND_IN_PROGRAM)]


def _ensure_source(plan: JobPlan, context: PlanContext, script: str) -> None:
    submitted = read_hyperparameter(plan.request, "sagemaker_submit_directory") or ""
    path = PurePosixPath(submitted)
    uri = submitted if is_uri(submitted) else _find_channel(plan.request, path)
    if not uri:
        return
    if context.store.find_first(uri) is None:
        is_archive = uri.endswith(".gz") or is_uri(submitted)
        context.store.put(uri if is_archive else f"{uri.rstrip('/')}/{path.name}", pack_source(script))
    elif not context.store.is_sample(uri):
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


def _stand_in_for_training(plan: JobPlan, context: PlanContext, job: str) -> None:
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
    known = _known_metrics(context)
    names = [definition["Name"] for definition in algorithm.get("MetricDefinitions") or ()]
    metrics = {name: known.get(name, _DEFAULT_METRIC) for name in [*names, *known]}
    algorithm["MetricDefinitions"] = [
        {"Name": name, "Regex": rf"rehearsal {re.escape(name)}=(\S+)"} for name in metrics
    ]
    files = {"/opt/ml/model/model.json": "{}", "/opt/ml/model/code/inference.py": inference_text()}
    lines = [f"rehearsal {name}={value}" for name, value in metrics.items()]
    what = context.step.name if context.step is not None else job
    request["Environment"] = stand_in_environment(request, what=what, files=files, lines=lines)


def _known_metrics(context: PlanContext) -> dict[str, Any]:
    """The metrics that the pipeline reads: a tuning job's objective, and those that other steps refer to."""
    if context.step is None:
        return {}
    wanted: dict[str, Any] = {}
    listed: Any = context.values.properties.get(context.step.name, {}).get("FinalMetricDataList")
    if isinstance(listed, dict):
        wanted = {
            name: entry.get("Value", _DEFAULT_METRIC) for name, entry in listed.items() if isinstance(entry, dict)
        }
    for name in _objectives(context.step.arguments):
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


def plan_transform_job(spec: JobSpec, context: PlanContext, *, stood_in_models: frozenset[str]) -> JobPlan:
    """What a transform job runs with.

    :param stood_in_models: the S3 addresses of models that stand-ins trained.
    """
    request: dict[str, Any] = deepcopy(dict(spec.request))
    plan = JobPlan(request)
    plan.containers = tuple(
        _plan_container(dict(container), plan, context, stood_in_models) for container in spec.containers
    )
    given = request["TransformInput"]
    source = given["DataSource"]["S3DataSource"]
    # Without a filter the model gets the whole row, so the row must have no label.
    has_label = "InputFilter" in (request.get("DataProcessing") or {})
    context.ensure_input(
        plan,
        source["S3Uri"],
        data_type=source.get("S3DataType", "S3Prefix"),
        content_type=given.get("ContentType") or "",
        has_label=has_label,
    )
    target = request["TransformOutput"]["S3OutputPath"]
    context.store.ensure_bucket(target)
    (context.outputs.made if plan.is_stood_in else context.outputs.real).append(target)
    return plan


def _plan_container(
    container: dict[str, Any], plan: JobPlan, context: PlanContext, stood_in_models: frozenset[str]
) -> dict[str, Any]:
    container = deepcopy(container)
    environment = container.get("Environment") or {}
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    model = container.get("ModelDataUrl") or source.get("S3Uri")
    submitted = environment.get("SAGEMAKER_SUBMIT_DIRECTORY", "")
    missing = [
        uri
        for uri in (str(model), str(submitted))
        if is_uri(uri)
        and not context.outputs.covers(uri)
        and (uri in stood_in_models or context.store.find_first(uri) is None or context.store.is_sample(uri))
    ]
    if not missing and can_serve(container, context.images):
        return container
    context.store.put(_MODEL_URI, pack_model())
    plan.is_stood_in = True
    image = container.get("Image")
    what = (
        f"model {missing[0]}"
        if missing
        else f"server of the image {parse_image_uri(image).repository if image else ''}"
    )
    plan.notes.append(what.rstrip())
    return {"Image": REHEARSAL_IMAGE, "ModelDataUrl": _MODEL_URI}


def find_program(argv: Sequence[str]) -> PurePosixPath | None:
    """The script in the container that a command runs; of a shell's command line, the first one. None for others.

    :param argv: the command, its arguments divided.
    """
    for position, word in enumerate(argv[:3]):
        if word.startswith("/") and PurePosixPath(word).suffix:
            return PurePosixPath(word)
        # SDK v3: /bin/bash -c "chmod +x /opt/ml/input/data/sm_drivers/sm_train.sh && ..."
        if position and argv[position - 1] == "-c" and (named := _SCRIPT.search(word)):
            return PurePosixPath(named[0])
    return None


def is_interpreter(argv: Sequence[str]) -> bool:
    """Whether a command begins with Python or a shell, which every image has."""
    name = PurePosixPath(argv[0]).name if argv else ""
    return name.startswith("python") or name in _SHELLS


def stand_in_environment(
    request: dict[str, Any], *, what: str, files: Mapping[str, str], lines: Sequence[str] = ()
) -> dict[str, str]:
    """The request's environment, with a variable that tells the stand-in what to write.

    :param what: the name of the step or job.
    :param files: contents by path in the container.
    :param lines: what it prints.
    """
    plan = {"for": what, "files": dict(files), "lines": list(lines)}
    return {**(request.get("Environment") or {}), _PLAN_VARIABLE: json.dumps(plan)}


def document_text(value: JsonValue) -> str:
    """A JSON document as the content of a file."""
    return json.dumps(value, indent=2)
