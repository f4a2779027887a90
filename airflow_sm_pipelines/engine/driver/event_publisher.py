"""Sends EventBridge events for the status changes of executions, steps and jobs, and the approval of model packages.

Source of the fields: developer guide, "Amazon SageMaker AI events in EventBridge". Every event is sent at least once.
It is sent again if the engine dies after sending it and before recording that.
"""

from __future__ import annotations

import json
import logging
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.arns import pipeline_arn_of
from airflow_sm_pipelines.engine.store.documents import from_ms, to_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.driver.parsed_definitions import ParsedDefinition, ParsedDefinitions
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, Store
    from airflow_sm_pipelines.engine.store.status_changes import ResourceChangeRecord, StatusChangeRecord

_LOG = logging.getLogger(__name__)
EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"
_RESOURCE_CHANGES = {
    "ProcessingJob": "SageMaker Processing Job State Change",
    "TrainingJob": "SageMaker Training Job State Change",
    "TransformJob": "SageMaker Transform Job State Change",
    "HyperParameterTuningJob": "SageMaker HyperParameter Tuning Job State Change",
    "ModelPackage": "SageMaker Model Package State Change",
}
_BATCH = 10
"""PutEvents takes at most ten entries."""
_RETRY_SECONDS = 1.0


class EventPublisher:
    """Sends the status changes in the store, in their order, in a thread of its own."""

    def __init__(self, store: Store, services: EngineServices, definitions: ParsedDefinitions) -> None:
        self._store = store
        self._services = services
        self._definitions = definitions
        self._last: tuple[str, ParsedDefinition] | None = None
        self._has_changes = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sm-events", daemon=True)

    def start(self) -> None:
        """Start the thread. It sends first what an earlier engine did not send."""
        self._store.on_commit(self._has_changes.set)
        self._has_changes.set()
        self._thread.start()

    def close(self) -> None:
        """Try once to send what is left, and stop."""
        self._store.on_commit(None)
        self._closing.set()
        self._has_changes.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._has_changes.wait()
            self._has_changes.clear()
            try:
                while self._publish():
                    pass
            except Exception:  # noqa: BLE001 - a full disk, or an endpoint in trouble: the changes stay in the store
                _LOG.exception("Events of status changes could not be sent yet")
                if not self._closing.wait(_RETRY_SECONDS):
                    self._has_changes.set()

    def _publish(self) -> bool:
        """Send one batch of each kind; False if there is none."""
        has_resources = self._publish_resources()
        return self._publish_executions() or has_resources

    def _publish_resources(self) -> bool:
        changes = self._store.status_changes.first_of_resources(_BATCH)
        if not changes:
            return False
        self._services.put_events([_resource_event(change) for change in changes])
        self._store.status_changes.drop_of_resources(changes[-1].seq)
        return True

    def _publish_executions(self) -> bool:
        changes = self._store.status_changes.first(_BATCH)
        if not changes:
            return False
        entries = [entry for change in changes for entry in self._entries(change)]
        if entries:
            self._services.put_events(entries)
        self._store.status_changes.drop(changes[-1].seq)
        return True

    def _entries(self, change: StatusChangeRecord) -> list[dict[str, Any]]:
        execution = self._store.executions.find(change.execution_id)
        if execution is None:
            return []
        if change.step is None:
            return [_execution_event(change, execution)]
        parsed = self._parsed_definition(execution)
        if parsed is None:
            return []
        step = parsed.declared_step(change.step, parent=change.parent)
        return [_step_event(change, execution, step_type=step.type)]

    def _parsed_definition(self, execution: ExecutionRecord) -> ParsedDefinition | None:
        # Changes come in bursts from one execution; to read a large definition for each would be most of the work.
        if self._last is None or self._last[0] != execution.id:
            version = self._store.pipelines.find_version(execution.pipeline, execution.version)
            if version is None:
                return None
            self._last = (execution.id, self._definitions.load(version))
        return self._last[1]


def _resource_event(change: ResourceChangeRecord) -> dict[str, Any]:
    """The PutEvents entry for a change of a job or a model package: its Describe answer, with times in milliseconds."""
    detail = {name: value for name, value in change.document.items() if not name.startswith("$")}
    return {
        "Source": "aws.sagemaker",
        "DetailType": _RESOURCE_CHANGES[change.kind],
        "Detail": json.dumps(detail, default=_in_milliseconds),
        "Resources": [change.arn],
        "Time": change.at_ms / 1000,
    }


def _in_milliseconds(value: Any) -> int:
    if isinstance(value, datetime):
        return to_ms(value)
    raise TypeError(f"{type(value).__name__} is no part of an event.")


def _execution_event(change: StatusChangeRecord, execution: ExecutionRecord) -> dict[str, Any]:
    """The PutEvents entry for a change of an execution."""
    detail = {
        "pipelineExecutionDisplayName": execution.display_name,
        "pipelineExecutionDescription": execution.description,
        "currentPipelineExecutionStatus": change.current,
        "previousPipelineExecutionStatus": change.previous,
        "executionStartTime": _time_text(change.started_ms),
        "executionEndTime": _time_text(change.ended_ms),
    }
    return _entry(EXECUTION_CHANGE, change, detail, execution_arn=execution.arn)


def _step_event(change: StatusChangeRecord, execution: ExecutionRecord, *, step_type: str) -> dict[str, Any]:
    """The PutEvents entry for a change of a step."""
    detail = {
        "stepName": change.step,
        "stepType": step_type,
        "currentStepStatus": change.current,
        "previousStepStatus": change.previous,
        "stepStartTime": _time_text(change.started_ms),
        "stepEndTime": _time_text(change.ended_ms),
        "failureReason": change.failure_reason,
        "cacheHitResult": {"sourcePipelineExecutionArn": change.cache_source} if change.cache_source else None,
        "metadata": _with_camel_case_keys(change.metadata),
    }
    return _entry(STEP_CHANGE, change, detail, execution_arn=execution.arn)


def _entry(kind: str, change: StatusChangeRecord, detail: dict[str, Any], *, execution_arn: str) -> dict[str, Any]:
    pipeline_arn = pipeline_arn_of(execution_arn)
    members = {name: value for name, value in detail.items() if value is not None}
    members.update(pipelineArn=pipeline_arn, pipelineExecutionArn=execution_arn)
    return {
        "Source": "aws.sagemaker",
        "DetailType": kind,
        "Detail": json.dumps(members),
        "Resources": [pipeline_arn, execution_arn],
        "Time": change.at_ms / 1000,
    }


def _time_text(moment_ms: int | None) -> str | None:
    return None if moment_ms is None else from_ms(moment_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_camel_case_keys(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_camel_case_keys(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key.lower() if key.isupper() else key[:1].lower() + key[1:]: _with_camel_case_keys(item)
        for key, item in value.items()
    }
