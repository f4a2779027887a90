"""What a processing job runs with in a rehearsal."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.processing import runs_image_program
from airflow_sm_pipelines.rehearsal.job_plan import (
    REHEARSAL_IMAGE,
    JobPlan,
    JobScene,
    document_text,
    find_program,
    is_interpreter,
    stand_in_environment,
)
from airflow_sm_pipelines.rehearsal.samples import STAND_IN_PROGRAM, sample_text
from airflow_sm_pipelines.rehearsal.sample_store import is_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import PurePosixPath

    from airflow_sm_pipelines.engine.jobs import JobSpec

_MONITOR = "sagemaker-model-monitor-analyzer"
# What the analyses behind check steps write.
_REPORTS = {
    **{f"{name}.json": sample_text(f"{name}.json") for name in ("statistics", "constraints")},
    "constraint_violations.json": '{"violations": []}',
    "analysis.json": "{}",
}


def plan_processing(spec: JobSpec, scene: JobScene) -> JobPlan:
    """Plan the job."""
    request: dict[str, Any] = deepcopy(dict(spec.request))
    plan = JobPlan(request)
    application = request["AppSpecification"]
    argv = [*application.get("ContainerEntrypoint", ()), *application.get("ContainerArguments", ())]
    program = find_program(argv)
    source = _find_source(request, program)
    if source is not None and program is not None and is_interpreter(argv):
        scene.ensure_script(plan, source["S3Uri"], program.relative_to(source["LocalPath"]))
    elif not _runs_here(argv, program, request, scene):
        plan.is_stood_in = True
        repository = parse_image_uri(application["ImageUri"]).repository
        is_ours = not argv and runs_image_program(request)
        plan.notes.append(
            f"analysis of made-up data, {repository}" if is_ours else f"program of the image {repository}"
        )
        application["ContainerEntrypoint"] = ["python", str(STAND_IN_PROGRAM)]
    for entry in request.get("ProcessingInputs") or ():
        given = entry.get("S3Input") or {}
        if given and not entry.get("AppManaged"):
            scene.ensure_input(plan, given.get("S3Uri"), data_type=given.get("S3DataType", "S3Prefix"))
    targets = _iter_targets(request)
    for _, target in targets:
        scene.store.ensure_bucket(target["S3Uri"])
    if plan.is_stood_in:
        _stand_in(plan, scene, spec.name)
    kept = scene.outputs.made if plan.is_stood_in else scene.outputs.real
    kept += [target["S3Uri"] for _, target in targets]
    return plan


def _runs_here(argv: list[str], program: PurePosixPath | None, request: Mapping[str, Any], scene: JobScene) -> bool:
    image = request["AppSpecification"]["ImageUri"]
    if not argv:
        # Statistics can be had of any data; other analyses name columns, which made-up data do not have.
        analysis = (request.get("Environment") or {}).get("analysis_type", "DATA_QUALITY")
        takes_any = parse_image_uri(image).repository == _MONITOR and analysis == "DATA_QUALITY"
        return runs_image_program(request) and (takes_any or not any(map(scene.is_made_up, _iter_inputs(request))))
    return is_interpreter(argv) and program is None and scene.has_image(image)


def _iter_inputs(request: Mapping[str, Any]) -> Iterator[str]:
    for entry in request.get("ProcessingInputs") or ():
        if is_uri((entry.get("S3Input") or {}).get("S3Uri")):
            yield entry["S3Input"]["S3Uri"]


def _find_source(request: Mapping[str, Any], program: PurePosixPath | None) -> Mapping[str, Any] | None:
    """The input that brings the program: one whose folder it is in, the innermost where folders are nested."""
    given = [entry.get("S3Input") or {} for entry in request.get("ProcessingInputs") or ()]
    around = [
        source
        for source in given
        if program is not None and source.get("LocalPath") and program.is_relative_to(source["LocalPath"])
    ]
    return max(around, key=lambda source: len(source["LocalPath"].rstrip("/")), default=None)


def _iter_targets(request: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    outputs = (request.get("ProcessingOutputConfig") or {}).get("Outputs") or ()
    return [
        (entry.get("OutputName", ""), entry["S3Output"]) for entry in outputs if entry.get("S3Output", {}).get("S3Uri")
    ]


def _stand_in(plan: JobPlan, scene: JobScene, job: str) -> None:
    request = plan.request
    request["AppSpecification"]["ImageUri"] = REHEARSAL_IMAGE
    kept = [entry for entry in request.get("ProcessingInputs") or () if entry.get("S3Input")]
    for entry in kept:
        entry["S3Input"]["S3InputMode"] = "File"
    request["ProcessingInputs"] = kept
    outputs = request.get("ProcessingOutputConfig") or {}
    outputs["Outputs"] = [entry for entry in outputs.get("Outputs") or () if not entry.get("FeatureStoreOutput")]
    files: dict[str, str] = {}
    name = scene.step.name if scene.step is not None else job
    for output, target in _iter_targets(request):
        if not target.get("LocalPath"):
            continue
        folder = target["LocalPath"].rstrip("/")
        declared = [file for file in (scene.step.property_files if scene.step else ()) if file.output_name == output]
        for file in declared:
            document = scene.values.property_files.get((name, file.name), {})
            files[f"{folder}/{file.path.lstrip('/')}"] = document_text(document)
        if scene.step is not None and scene.step.type in ("QualityCheck", "ClarifyCheck"):
            files |= {f"{folder}/{file}": text for file, text in _REPORTS.items()}
        elif not declared:
            has_label = (name, output) not in scene.features_only
            content_type = scene.content_types.get((name, output), "")
            files[f"{folder}/sample.csv"] = sample_text("sample.csv", content_type=content_type, has_label=has_label)
    request["Environment"] = stand_in_environment(request, what=name, files=files)
