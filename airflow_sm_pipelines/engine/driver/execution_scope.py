"""Builds the scope in which the expressions of an execution are resolved: from the store, the clock and S3.

How expressions are resolved is in ``rules.resolver``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.property_path import PropertyNotFoundError, locate_property_file
from airflow_sm_pipelines.definition.s3_uri import parse_s3_uri
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import CurrentItem, ResolutionScope, resolve
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.engine.rules.fan_out import Iteration
    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, Store


@dataclass(frozen=True, slots=True)
class ScopeFactory:
    """Makes scopes for the steps of one execution.

    :param iteration: the iteration of a ForEach step that the scopes are for.
    """

    store: Store
    services: EngineServices
    arns: ArnFactory
    execution: ExecutionRecord
    definition: PipelineDefinition
    iteration: Iteration | None = None

    def make(self, variables: Mapping[str, str] | None = None) -> ResolutionScope:
        """The scope at this moment, with these execution variables besides the usual ones."""
        return ResolutionScope(
            parameters=self.execution.parameters,
            execution={
                **execution_variables(self.execution, self.arns, now=self.services.clock()),
                **(variables or {}),
            },
            experiment=self.execution.experiment,
            describe_step=self._find_properties,
            load_property_file=self._load_property_file,
            load_document=self._load_document,
            item=CurrentItem(self.iteration.item) if self.iteration is not None else None,
        )

    def _find_properties(self, name: str) -> JsonObject | None:
        if self.iteration is not None and name in self.iteration.siblings:
            name = self.iteration.child(name)
        record = self.store.steps.find(self.execution.id, name)
        if record is None:
            return None
        if record.resource_kind is None or record.resource_name is None:
            return record.properties if record.properties is not None else {}
        resource = self.store.resources.find(record.resource_kind, record.resource_name)
        if resource is None:
            raise ResolutionError(f"{record.resource_kind} '{record.resource_name}' of step '{name}' was deleted.")
        plain: JsonObject = _with_time_texts({**resource.public_document, **resource.document.get("$properties", {})})
        return {**plain, **(record.properties or {})}

    def _load_property_file(self, step_name: str, file_name: str) -> JsonValue:
        siblings = self.iteration.siblings if self.iteration is not None else {}
        step = siblings.get(step_name) or self.definition.step(step_name)
        file = step.property_file(file_name)
        if file is None:
            raise ResolutionError(f"Step '{step_name}' declares no property file '{file_name}'.")
        properties = self._find_properties(step_name)
        if properties is None:
            raise ResolutionError(f"Step '{step_name}' did not run in this execution, so it has no property file.")
        try:
            uri = locate_property_file(properties, file)
        except PropertyNotFoundError as error:
            raise ResolutionError(f"Step '{step_name}' has {error}") from error
        try:
            return self._load_document(uri)
        except ResolutionError as error:
            raise ResolutionError(
                f"Property file '{file_name}': step '{step_name}' should have written '{file.path}' to its output "
                f"'{file.output_name}'. {error}"
            ) from error

    def _load_document(self, uri: str) -> JsonValue:
        try:
            location = parse_s3_uri(uri)
        except ValueError as error:
            raise ResolutionError(str(error)) from error
        if not location.key:
            raise ResolutionError(f"'{uri}' is not the S3 URI of an object.")
        try:
            document: JsonValue = json.loads(self.services.read_object(location))
        except ValueError as error:
            raise ResolutionError(f"'{uri}' is not a JSON document: {error}.") from error
        return document


def execution_variables(execution: ExecutionRecord, arns: ArnFactory, *, now: datetime) -> dict[str, JsonValue]:
    """The values of ``Execution.<variable>`` that every step of an execution sees."""
    return {
        "StartDateTime": _time_text(from_ms(execution.created_ms)),
        "CurrentDateTime": _time_text(now),
        "PipelineName": execution.pipeline,
        "PipelineArn": arns.pipeline(execution.pipeline),
        "PipelineExecutionId": execution.id,
        "PipelineExecutionArn": execution.arn,
    }


def resolve_config(
    config: Mapping[str, JsonValue] | None, parameters: Mapping[str, JsonValue], variables: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """The PipelineExperimentConfig or MlflowConfig of an execution; empty if the definition has none."""
    if not config:
        return {}
    scope = ResolutionScope(parameters=parameters, execution=variables)
    return {key: resolve(value, scope) for key, value in config.items() if value is not None}


def _time_text(moment: datetime) -> str:
    """A time as expressions see it: ISO 8601 in UTC with milliseconds and ``Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _with_time_texts(value: Any) -> Any:
    if isinstance(value, datetime):
        return _time_text(value)
    if isinstance(value, dict):
        return {key: _with_time_texts(item) for key, item in value.items()}
    return [_with_time_texts(item) for item in value] if isinstance(value, list) else value
