"""The role of a step's job: its own, or else the pipeline's.

Source: developer guide, "IAM access management": by default each step takes on the pipeline execution role.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.rules.job_documents import TRANSFORM, TUNING, JobKind

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.steps.task import StepTask


def with_default_role(task: StepTask, kind: JobKind, request: dict[str, Any]) -> dict[str, Any]:
    """The request of a job, with the execution's role where it names none.

    A transform job has no role, and a tuning job none of its own: the definitions of its training jobs have.
    """
    execution = task.store.executions.find(task.execution_id)
    role = execution.role_arn if execution is not None else None
    if role is None or kind is TRANSFORM:
        return request
    if kind is not TUNING:
        return {"RoleArn": role, **request}
    changed = dict(request)
    if isinstance(request.get("TrainingJobDefinition"), dict):
        changed["TrainingJobDefinition"] = {"RoleArn": role, **request["TrainingJobDefinition"]}
    if isinstance(request.get("TrainingJobDefinitions"), list):
        changed["TrainingJobDefinitions"] = [{"RoleArn": role, **one} for one in request["TrainingJobDefinitions"]]
    return changed
