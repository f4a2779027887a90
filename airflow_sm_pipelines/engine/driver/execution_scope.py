"""Builds the scope in which one execution's expressions are resolved: from the store, the clock and S3.

The reading side of the resolver; the rules of resolving are there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_sm_pipelines.engine.jobs.job_host import public_document
from airflow_sm_pipelines.engine.property_path import find_property
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.engine.rules.resolver import CurrentItem, Scope, resolve
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue, PipelineDefinition
    from airflow_sm_pipelines.engine.rules.fan_out import Iteration
    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, Store

# A property file is read into memory; SageMaker's limit is of this order.
_MAX_DOCUMENT_BYTES = 10 * 1024 * 1024


def iso_text(moment: datetime) -> str:
    """A time as expressions see it: ISO 8601 in UTC with milliseconds and ``Z``."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


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

    def make(self, variables: Mapping[str, str] | None = None) -> Scope:
        """A scope at this moment, with these execution variables besides the usual ones."""
        return Scope(
            parameters=self.execution.parameters,
            execution={
                **execution_variables(self.execution, self.arns, now=self.services.clock()),
                **(variables or {}),
            },
            experiment=self.execution.experiment,
            describe_step=self._describe_step,
            load_property_file=self._load_property_file,
            load_document=self._load_document,
            item=CurrentItem(self.iteration.item) if self.iteration is not None else None,
        )

    def _describe_step(self, name: str) -> JsonObject | None:
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
        plain: JsonObject = _plain({**public_document(resource), **resource.document.get("$properties", {})})
        return {**plain, **(record.properties or {})}

    def _load_property_file(self, step_name: str, file_name: str) -> JsonValue:
        siblings = self.iteration.siblings if self.iteration is not None else {}
        step = siblings.get(step_name) or self.definition.step(step_name)
        file = step.property_file(file_name)
        if file is None:
            raise ResolutionError(f"Step '{step_name}' declares no property file '{file_name}'.")
        properties = self._describe_step(step_name)
        if properties is None:
            raise ResolutionError(f"Step '{step_name}' did not run in this execution, so it has no property file.")
        path = ("ProcessingOutputConfig", "Outputs", file.output_name, "S3Output", "S3Uri")
        folder = find_property(properties, path, where=f"Step '{step_name}'")
        try:
            return self._load_document(f"{str(folder).rstrip('/')}/{file.path.lstrip('/')}")
        except ResolutionError as error:
            raise ResolutionError(
                f"Property file '{file_name}': step '{step_name}' should have written '{file.path}' to its output "
                f"'{file.output_name}'. {error}"
            ) from error

    def _load_document(self, uri: str) -> JsonValue:
        parts = urlsplit(uri)
        if parts.scheme != "s3" or not parts.netloc or len(parts.path) < 2:
            raise ResolutionError(f"'{uri}' is not the S3 URI of an object.")
        body = read_object(self.services, parts.netloc, parts.path[1:])
        try:
            document: JsonValue = json.loads(body)
        except ValueError as error:
            raise ResolutionError(f"'{uri}' is not a JSON document: {error}.") from error
        return document


def execution_variables(execution: ExecutionRecord, arns: ArnFactory, *, now: datetime) -> dict[str, JsonValue]:
    """What ``Execution.<variable>`` gives everywhere in an execution."""
    return {
        "StartDateTime": iso_text(from_ms(execution.created_ms)),
        "CurrentDateTime": iso_text(now),
        "PipelineName": execution.pipeline,
        "PipelineArn": arns.pipeline(execution.pipeline),
        "PipelineExecutionId": execution.id,
        "PipelineExecutionArn": execution.arn,
    }


def resolve_experiment(
    config: Mapping[str, JsonValue] | None, parameters: Mapping[str, JsonValue], variables: Mapping[str, JsonValue]
) -> dict[str, JsonValue]:
    """The PipelineExperimentConfig of an execution; empty if the definition has none."""
    if not config:
        return {}
    scope = Scope(parameters=parameters, execution=variables)
    return {key: resolve(value, scope) for key, value in config.items() if value is not None}


def read_object(services: EngineServices, bucket: str, key: str, version_id: str | None = None) -> bytes:
    """The bytes of an S3 object.

    :raises ResolutionError: if it is not there, cannot be read, or is too large to be a document.
    """
    version = {"VersionId": version_id} if version_id else {}
    try:
        answer = services.s3.get_object(Bucket=bucket, Key=key, **version)
        body: bytes = answer["Body"].read(_MAX_DOCUMENT_BYTES + 1)
    except Exception as error:
        # The client is whatever the server passed in; botocore's error classes are not ours to import here.
        raise ResolutionError(f"s3://{bucket}/{key} cannot be read: {error}") from error
    if len(body) > _MAX_DOCUMENT_BYTES:
        raise ResolutionError(f"s3://{bucket}/{key} is larger than {_MAX_DOCUMENT_BYTES} bytes.")
    return body


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso_text(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
