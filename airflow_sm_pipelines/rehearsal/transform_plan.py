"""What a transform job runs with in a rehearsal."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.jobs.image_uri import parse_image_uri
from airflow_sm_pipelines.engine.jobs.model_server import can_serve
from airflow_sm_pipelines.rehearsal.job_plan import REHEARSAL_IMAGE, JobPlan, JobScene
from airflow_sm_pipelines.rehearsal.samples import pack_model
from airflow_sm_pipelines.rehearsal.sample_store import is_uri
from airflow_sm_pipelines.rehearsal.sample_values import SAMPLE_BUCKET

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.jobs import JobSpec

_MODEL_URI = f"s3://{SAMPLE_BUCKET}/model/model.tar.gz"


def plan_transform_job(spec: JobSpec, scene: JobScene, *, stood_in_models: frozenset[str]) -> JobPlan:
    """Plan the job.

    :param stood_in_models: the addresses of models that stand-ins trained.
    """
    request: dict[str, Any] = deepcopy(dict(spec.request))
    plan = JobPlan(request)
    plan.containers = tuple(
        _plan_container(dict(container), plan, scene, stood_in_models) for container in spec.containers
    )
    given = request["TransformInput"]
    source = given["DataSource"]["S3DataSource"]
    # Without a filter the model gets the whole row, and a row without a label is what it was trained on.
    has_label = "InputFilter" in (request.get("DataProcessing") or {})
    scene.ensure_input(
        plan,
        source["S3Uri"],
        data_type=source.get("S3DataType", "S3Prefix"),
        content_type=given.get("ContentType") or "",
        has_label=has_label,
    )
    target = request["TransformOutput"]["S3OutputPath"]
    scene.store.ensure_bucket(target)
    (scene.outputs.made if plan.is_stood_in else scene.outputs.real).append(target)
    return plan


def _plan_container(
    container: dict[str, Any], plan: JobPlan, scene: JobScene, stood_in_models: frozenset[str]
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
        and not scene.outputs.covers(uri)
        and (uri in stood_in_models or scene.store.find_first(uri) is None or scene.store.is_sample(uri))
    ]
    if not missing and can_serve(container, scene.images):
        return container
    scene.store.put(_MODEL_URI, pack_model())
    plan.is_stood_in = True
    image = container.get("Image")
    what = (
        f"model {missing[0]}"
        if missing
        else f"server of the image {parse_image_uri(image).repository if image else ''}"
    )
    plan.notes.append(what.rstrip())
    return {"Image": REHEARSAL_IMAGE, "ModelDataUrl": _MODEL_URI}
