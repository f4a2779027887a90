"""Which containers a model is made of, for those who run it. Reads the store only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.registry.models import MODEL, PACKAGE
from airflow_sm_pipelines.engine.rules.errors import validation_error
from airflow_sm_pipelines.engine.rules.resource_names import resource_name_of

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.store import Store


def find_containers(store: Store, arns: ArnFactory, model_name: str) -> list[dict[str, Any]]:
    """The container definitions of a model in the order data passes through them.

    A container given by ``ModelPackageName`` is replaced by the package's own, which inherit its environment.

    :raises ServiceError: the model or its package does not exist, or it has no containers.
    """
    record = store.resources.find(MODEL, model_name)
    if record is None:
        raise validation_error(f'Could not find model "{arns.make("model", model_name)}".')
    declared = record.document.get("Containers") or [record.document.get("PrimaryContainer") or {}]
    containers = [container for entry in declared for container in _expand(store, entry)]
    if not any(container.get("Image") for container in containers):
        raise validation_error(f'Model "{record.arn}" has no container with an image.')
    return containers


def _expand(store: Store, container: dict[str, Any]) -> list[dict[str, Any]]:
    package_name = container.get("ModelPackageName")
    if not package_name:
        return [container]
    package = store.resources.find(PACKAGE, resource_name_of(package_name, "model-package"))
    if package is None:
        raise validation_error(f"ModelPackage {package_name} does not exist.")
    specification = package.document.get("InferenceSpecification") or {}
    environment = container.get("Environment") or {}
    return [
        {**entry, "Environment": {**(entry.get("Environment") or {}), **environment}}
        for entry in specification.get("Containers") or []
    ]
