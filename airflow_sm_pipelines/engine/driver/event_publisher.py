"""EventBridge events for status changes of executions and steps.

Source of the fields: developer guide, "Amazon SageMaker AI events in EventBridge". An event is sent at least once:
again, if the engine dies between sending it and noting so.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.driver.parsed_definitions import DefinitionCache, ParsedDefinition
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, Store
    from airflow_sm_pipelines.engine.store.status_changes import StatusChange

_LOG = logging.getLogger(__name__)
EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"
# PutEvents takes ten entries.
_BATCH = 10
_RETRY_SECONDS = 1.0


def execution_event(change: StatusChange, execution: ExecutionRecord, *, pipeline_arn: str) -> dict[str, Any]:
    """The PutEvents entry for an execution's change."""
    detail = {
        "pipelineExecutionDisplayName": execution.display_name,
        "pipelineExecutionDescription": execution.description,
        "currentPipelineExecutionStatus": change.current,
        "previousPipelineExecutionStatus": change.previous,
        "executionStartTime": _time_text(change.started_ms),
        "executionEndTime": _time_text(change.ended_ms),
    }
    return _entry(EXECUTION_CHANGE, change, detail, pipeline_arn=pipeline_arn, execution_arn=execution.arn)


def step_event(
    change: StatusChange, execution: ExecutionRecord, *, pipeline_arn: str, step_type: str
) -> dict[str, Any]:
    """The PutEvents entry for a step's change."""
    detail = {
        "stepName": change.step,
        "stepType": step_type,
        "currentStepStatus": change.current,
        "previousStepStatus": change.previous,
        "stepStartTime": _time_text(change.started_ms),
        "stepEndTime": _time_text(change.ended_ms),
        "failureReason": change.failure_reason,
        "cacheHitResult": {"sourcePipelineExecutionArn": change.cache_source} if change.cache_source else None,
        "metadata": _camel_case(change.metadata),
    }
    return _entry(STEP_CHANGE, change, detail, pipeline_arn=pipeline_arn, execution_arn=execution.arn)


class EventPublisher:
    """Sends the status changes in the store, in their order, in a thread of its own."""

    def __init__(self, store: Store, services: EngineServices, definitions: DefinitionCache) -> None:
        self._store = store
        self._services = services
        self._definitions = definitions
        self._last: tuple[str, ParsedDefinition] | None = None
        self._news = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sm-events", daemon=True)

    def start(self) -> None:
        """Start the thread; what an earlier engine left is sent first."""
        self._store.on_commit(self._news.set)
        self._news.set()
        self._thread.start()

    def close(self) -> None:
        """Send what there is, once, and stop."""
        self._store.on_commit(None)
        self._closing.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._closing.is_set():
            self._news.wait()
            self._news.clear()
            try:
                while self._publish():
                    pass
            except Exception:
                # A full disk, or an endpoint in trouble: the changes are still in the store.
                _LOG.exception("Events of status changes could not be sent yet")
                if not self._closing.wait(_RETRY_SECONDS):
                    self._news.set()

    def _publish(self) -> bool:
        """Send a batch; whether there was one."""
        changes = self._store.events.first(_BATCH)
        if not changes:
            return False
        entries = [entry for change in changes for entry in self._entries(change)]
        if entries:
            self._services.put_events(entries)
        self._store.events.drop(changes[-1].seq)
        return True

    def _entries(self, change: StatusChange) -> list[dict[str, Any]]:
        execution = self._store.executions.find(change.execution_id)
        if execution is None:
            return []
        pipeline_arn = execution.arn.partition("/execution/")[0]
        if change.step is None:
            return [execution_event(change, execution, pipeline_arn=pipeline_arn)]
        parsed = self._parsed_definition(execution)
        if parsed is None:
            return []
        step = parsed.declared_step(change.step, parent=change.parent)
        return [step_event(change, execution, pipeline_arn=pipeline_arn, step_type=step.type)]

    def _parsed_definition(self, execution: ExecutionRecord) -> ParsedDefinition | None:
        # Changes come in bursts from one execution; reading a large definition for each would be most of the work.
        if self._last is None or self._last[0] != execution.id:
            version = self._store.pipelines.find_version(execution.pipeline, execution.version)
            if version is None:
                return None
            self._last = (execution.id, self._definitions.load(version))
        return self._last[1]


def _entry(
    kind: str, change: StatusChange, detail: dict[str, Any], *, pipeline_arn: str, execution_arn: str
) -> dict[str, Any]:
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


def _camel_case(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key.lower() if key.isupper() else key[:1].lower() + key[1:]: _camel_case(item) for key, item in value.items()
    }
