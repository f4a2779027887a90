"""Model and RegisterModel steps: they make the records that CreateModel and CreateModelPackage make."""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines.engine.registry.models import add_model, add_model_package, ensure_group
from airflow_sm_pipelines.engine.rules.errors import ServiceError, StepError
from airflow_sm_pipelines.engine.rules.job_documents import without_nulls
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask


def resolve_request(task: StepTask, operation: str, name: dict[str, str]) -> dict[str, Any]:
    """The arguments of a step as the checked request of an operation.

    :param name: the member that names what is made, if the arguments need not name it.
    :raises StepError: they cannot be resolved, or the service would refuse them.
    """
    resolved = task.resolve_arguments(task.scope)
    request: dict[str, Any] = without_nulls(resolved)
    # The service checks members that are null, too: it must know them.
    task.check_request(operation, {**resolved, **{key: request.get(key, value) for key, value in name.items()}})
    return request


class ModelExecutor:
    """Performs a Model step."""

    is_instant = True

    def prepare(self, task: StepTask) -> dict[str, Any]:
        """The resolved CreateModel request."""
        return resolve_request(task, "CreateModel", {"ModelName": task.new_name})

    def run(self, task: StepTask, prepared: dict[str, Any]) -> StepOutcome:
        """Make the model."""
        record = add_model(task.store, task.arns, {**prepared, "ModelName": task.new_name}, now=task.services.clock())
        return StepOutcome(metadata={"Model": {"Arn": record.arn}}, resource=(record.kind, record.name))


class RegisterModelExecutor:
    """Performs a RegisterModel step: it makes the next version in a model package group, and if need be the group."""

    is_instant = True

    def prepare(self, task: StepTask) -> dict[str, Any]:
        """The resolved CreateModelPackage request."""
        return resolve_request(task, "CreateModelPackage", {})

    def run(self, task: StepTask, prepared: dict[str, Any]) -> StepOutcome:
        """Make the model package."""
        now = task.services.clock()
        try:
            if prepared.get("ModelPackageGroupName"):
                ensure_group(task.store, task.arns, prepared["ModelPackageGroupName"], now=now)
            record = add_model_package(task.store, task.arns, prepared, now=now)
        except ServiceError as error:
            raise StepError(f"ClientError: {error.message}") from error
        return StepOutcome(metadata={"RegisterModel": {"Arn": record.arn}}, resource=(record.kind, record.name))
