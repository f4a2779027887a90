"""EndpointConfig and Endpoint steps: they make the records that CreateEndpointConfig and CreateEndpoint make.

Choices where the service's behaviour is not documented: if the arguments have a name, it is used. An endpoint of that
name that exists already gets the new configuration.
"""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines.engine.registry.endpoints import (
    ENDPOINT,
    add_endpoint,
    add_endpoint_config,
    update_endpoint,
)
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
    """Performs an Endpoint step."""

    is_instant = True

    def prepare(self, task: StepTask) -> dict[str, Any]:
        """The resolved CreateEndpoint request."""
        name = {"EndpointName": task.new_name}
        return {**name, **resolve_request(task, "CreateEndpoint", name)}

    def run(self, task: StepTask, prepared: dict[str, Any]) -> StepOutcome:
        """Make the endpoint, or change it."""
        is_there = task.store.resources.find(ENDPOINT, prepared["EndpointName"]) is not None
        make = update_endpoint if is_there else add_endpoint
        try:
            record = make(task.store, task.arns, prepared, now=task.services.clock())
        except ServiceError as error:
            raise StepError(f"ClientError: {error.message}") from error
        return StepOutcome(metadata={"Endpoint": {"Arn": record.arn}}, resource=(record.kind, record.name))
