"""EndpointConfig and Endpoint steps: they make what CreateEndpointConfig and CreateEndpoint make.

Choices where the service's behaviour is not documented: if the arguments have a name, it is used. An endpoint of that
name that exists already gets the new configuration.
"""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.registry.endpoints import ENDPOINT, add_endpoint_config
from airflow_sm_pipelines.engine.rules.errors import ServiceError, StepError
from airflow_sm_pipelines.engine.steps.model import resolve_request
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask


class EndpointConfigExecutor:
    """Performs an EndpointConfig step."""

    is_instant = True

    def prepare(self, task: StepTask) -> dict[str, Any]:
        """The resolved CreateEndpointConfig request."""
        name = {"EndpointConfigName": task.new_name}
        return {**name, **resolve_request(task, "CreateEndpointConfig", name)}

    def run(self, task: StepTask, prepared: dict[str, Any]) -> StepOutcome:
        """Make the configuration."""
        try:
            record = add_endpoint_config(task.store, task.arns, prepared, now=task.services.clock())
        except ServiceError as error:
            raise StepError(f"ClientError: {error.message}") from error
        return StepOutcome(metadata={"EndpointConfig": {"Arn": record.arn}}, resource=(record.kind, record.name))


class EndpointExecutor:
    """Performs an Endpoint step: it ends when the endpoint is in service, or cannot be."""

    is_instant = False

    def prepare(self, task: StepTask) -> dict[str, Any]:
        """The resolved CreateEndpoint request."""
        name = {"EndpointName": task.new_name}
        return {**name, **resolve_request(task, "CreateEndpoint", name)}

    def run(self, task: StepTask, prepared: dict[str, Any]) -> StepOutcome:
        """Make the endpoint, or change it, and wait."""
        if task.stop.is_set() and not task.has_resource:
            return StepOutcome(status=StepStatus.STOPPED)
        if task.has_resource:
            task.mark_executing()
        else:
            self._make(task, prepared)
        record = task.endpoints.wait(task.new_name if task.has_resource else prepared["EndpointName"], task.stop)
        if record is None:
            raise StepError("ClientError: the endpoint was deleted before it was in service.")
        if task.stop.is_set():
            return StepOutcome(status=StepStatus.STOPPED)
        if reason := record.document.get("FailureReason"):
            raise StepError(f"ClientError: {reason}")
        return StepOutcome()

    def _make(self, task: StepTask, prepared: dict[str, Any]) -> None:
        is_there = task.store.resources.find(ENDPOINT, prepared["EndpointName"]) is not None
        make = task.endpoints.update if is_there else task.endpoints.create
        try:
            with task.store.transaction():
                record = make(prepared)
                task.mark_executing(metadata={"Endpoint": {"Arn": record.arn}}, resource=(record.kind, record.name))
        except ServiceError as error:
            raise StepError(f"ClientError: {error.message}") from error
        task.endpoints.start(record.name)
