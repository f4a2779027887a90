"""A state directory as it is after many executions: written straight into the store, as running them would take hours.

Every execution has three Processing steps that succeeded, one of them with a cache key.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import definition_hash, parse_definition
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.rules.job_documents import PROCESSING, ended_job_document, new_job_document
from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
from airflow_sm_pipelines.engine.store import ExecutionRecord, PipelineRecord, ResourceRecord, Store, VersionRecord
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from pathlib import Path

PIPELINE = "filled"
STEPS = ("Prepare", "Evaluate", "Report")
ROLE = "arn:aws:iam::123456789012:role/Execution"
JOB: dict[str, Any] = {
    "AppSpecification": {
        "ImageUri": "123456789012.dkr.ecr.us-east-1.amazonaws.com/bench-python:1",
        "ContainerEntrypoint": ["python3", "-c", "pass"],
    },
    "ProcessingResources": {"ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 10}},
    "RoleArn": ROLE,
}
_BEGIN_MS = 1_700_000_000_000
_ARNS = ArnFactory("us-east-1", "123456789012")


def definition_text() -> str:
    """The definition of the pipeline; it takes its steps' results from the cache where it can."""
    cache = {"Enabled": True, "ExpireAfter": "P30D"}
    steps = [
        {"Name": name, "Type": "Processing", "Arguments": JOB, **({"CacheConfig": cache} if not index else {})}
        for index, name in enumerate(STEPS)
    ]
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": [], "Steps": steps})


def fill_store(state_dir: Path, executions: int) -> None:
    """Write as many executions of one pipeline."""
    store = Store(state_dir)
    with store.transaction():
        text = definition_text()
        store.pipelines.add(
            PipelineRecord(PIPELINE, _ARNS.pipeline(PIPELINE), PIPELINE, None, ROLE, None, _BEGIN_MS, _BEGIN_MS, None)
        )
        hashed = definition_hash(parse_definition(text))
        store.pipelines.add_version(VersionRecord(PIPELINE, 1, text, hashed, None, None, _BEGIN_MS, None))
        for number in range(executions):
            _add_execution(store, number)
        last = store.status_changes.first(1)
        if last:
            store.status_changes.drop(last[0].seq + executions * 100)
    store.close()


def execution_arn(number: int) -> str:
    """The ARN of one of the executions."""
    return f"{_ARNS.pipeline(PIPELINE)}/execution/{_id(number)}"


def job_name(number: int) -> str:
    """The name of one of the jobs."""
    return f"pipelines-{_id(number)}-{STEPS[0]}-abcdefghij"


def _id(number: int) -> str:
    return f"e{number:011d}"


def _add_execution(store: Store, number: int) -> None:
    moment = _BEGIN_MS + number * 60_000
    execution_id = _id(number)
    store.executions.add(
        ExecutionRecord(
            id=execution_id,
            arn=execution_arn(number),
            pipeline=PIPELINE,
            version=1,
            display_name=f"execution-{moment}",
            description=None,
            status=ExecutionStatus.EXECUTING,
            failure_reason=None,
            parameters={},
            parallelism=None,
            experiment={},
            role_arn=ROLE,
            created_ms=moment,
            modified_ms=moment,
        )
    )
    store.steps.start(execution_id, STEPS, now_ms=moment)
    for index, name in enumerate(STEPS):
        job = f"pipelines-{execution_id}-{name}-abcdefghij"
        arn = _ARNS.make(PROCESSING.resource, job)
        document = new_job_document(PROCESSING, name=job, arn=arn, request=JOB, now=from_ms(moment))
        document = ended_job_document(PROCESSING, document, status="Completed", now=from_ms(moment + 50_000))
        store.resources.add(
            ResourceRecord(
                "ProcessingJob", job, arn, "Completed", None, None, {**document, "$request": JOB}, moment, moment
            )
        )
        store.steps.change_status(
            execution_id,
            name,
            StepStatus.SUCCEEDED,
            ended_ms=moment + 50_000,
            metadata={"ProcessingJob": {"Arn": arn}},
            resource_kind="ProcessingJob",
            resource_name=job,
            **({"cache_key": f"key-{number}"} if not index else {}),
        )
    store.executions.change_status(execution_id, ExecutionStatus.SUCCEEDED, now_ms=moment + 60_000)
