"""Cleanup steps: they delete what earlier steps wrote to S3.

Source: SDK v3, ``CleanupStep``, and the API's CleanupStepMetadata. Without URIs all outputs of a Training step are
deleted. With URIs exactly these objects are deleted, if they are below the outputs of their Processing or Transform
step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.property_path import find_value
from airflow_sm_pipelines.definition.s3_uri import join_s3_uri, parse_s3_uri
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.engine.rules.resolver import resolve
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.engine.services import S3Client

_MAX_MESSAGE = 2048


class CleanupExecutor:
    """Performs a Cleanup step. It tries every source, and fails if one could not be cleaned."""

    is_instant = False

    def prepare(self, task: StepTask) -> list[JsonValue]:
        """The sources, resolved."""
        resources = resolve(task.step.arguments.get("Resources"), task.scope)
        sources = resources.get("S3") if isinstance(resources, dict) else None
        if not isinstance(sources, list) or not sources:
            raise StepError(f"ClientError: Cleanup step '{task.step.name}' names nothing in Resources.S3.")
        return sources

    def run(self, task: StepTask, prepared: list[JsonValue]) -> StepOutcome:
        """Delete, source by source. A stop takes effect after the current source."""
        task.mark_executing()
        cleaned: list[JsonValue] = []
        skipped: list[JsonValue] = []
        failed: list[JsonValue] = []
        for source in prepared:
            if task.stop.is_set():
                return StepOutcome(status=StepStatus.STOPPED, metadata=_metadata(cleaned, failed, skipped))
            name = str(source.get("StepName")) if isinstance(source, dict) else ""
            uris = source.get("S3Uris") if isinstance(source, dict) else None
            properties = task.scope.describe_step(name)
            if not properties or not _output_locations(properties):
                skipped.append(name)
                continue
            try:
                _delete(task.services.s3, find_objects(properties, uris, step=name))
            except StepError as error:
                failed.append({"StepName": name, "ErrorCode": "ClientError", "ErrorMessage": str(error)[:_MAX_MESSAGE]})
            except Exception as error:  # noqa: BLE001 - the server chooses the client, and with it the client's errors
                failed.append(
                    {"StepName": name, "ErrorCode": "InternalFailure", "ErrorMessage": str(error)[:_MAX_MESSAGE]}
                )
            else:
                cleaned.append(name)
        reason = None
        if failed:
            reason = "ClientError: Could not clean up: " + "; ".join(
                f"{entry['StepName']}: {entry['ErrorMessage']}" for entry in failed if isinstance(entry, dict)
            )
        return StepOutcome(
            status=StepStatus.FAILED if failed else StepStatus.SUCCEEDED,
            failure_reason=reason,
            metadata=_metadata(cleaned, failed, skipped),
            properties={},
        )


def find_objects(properties: JsonObject, uris: JsonValue, *, step: str) -> tuple[list[str], list[str]]:
    """The objects and the prefixes to delete for one source, as S3 URIs.

    :param properties: the Describe answer of what the source step made.
    :param uris: the ``S3Uris`` of the source.
    :raises StepError: they are not known, or not outputs of the step.
    """
    if properties.get("VpcConfig") or find_value(properties, "NetworkConfig", "VpcConfig"):
        raise StepError("a step with a VpcConfig cannot be cleaned up.")
    locations = _output_locations(properties)
    if uris is None:
        if "TrainingJobName" not in properties:
            raise StepError("only the outputs of a Training step are found without S3Uris.")
        return [], locations
    if not isinstance(uris, list) or not all(isinstance(uri, str) for uri in uris):
        raise StepError(f"S3Uris must be an array of S3 URIs, found {uris!r:.200}.")
    for uri in uris:
        if not any(str(uri).startswith(f"{location.rstrip('/')}/") for location in locations):
            raise StepError(f"{uri} is not under an output of step '{step}': {', '.join(locations) or 'it has none'}.")
    return [str(uri) for uri in uris], []


def _output_locations(properties: JsonObject) -> list[str]:
    if "TrainingJobName" in properties:
        path = find_value(properties, "OutputDataConfig", "S3OutputPath")
        return [join_s3_uri(path, f"{properties['TrainingJobName']}/")] if path else []
    if "TransformJobName" in properties:
        path = str(find_value(properties, "TransformOutput", "S3OutputPath") or "")
        return [path] if path else []
    outputs = find_value(properties, "ProcessingOutputConfig", "Outputs")
    found = [find_value(output, "S3Output", "S3Uri") for output in outputs] if isinstance(outputs, list) else []
    return [str(uri) for uri in found if uri]


def _delete(s3: S3Client, found: tuple[list[str], list[str]]) -> None:
    objects, prefixes = found
    for uri in objects:
        location = parse_s3_uri(uri)
        s3.delete_object(Bucket=location.bucket, Key=location.key)
    for uri in prefixes:
        location = parse_s3_uri(uri)
        while True:
            page = s3.list_objects_v2(Bucket=location.bucket, Prefix=location.key)
            for entry in page.get("Contents", []):
                s3.delete_object(Bucket=location.bucket, Key=entry["Key"])
            if not page.get("IsTruncated"):
                break


def _metadata(cleaned: list[JsonValue], failed: list[JsonValue], skipped: list[JsonValue]) -> JsonObject:
    return {"Cleanup": {"CleanedSteps": cleaned, "FailedSteps": failed, "SkippedSteps": skipped}}
