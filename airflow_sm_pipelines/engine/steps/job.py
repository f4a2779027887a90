"""Processing and Training steps: make a job, run it, and end as it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.errors import StepError
from airflow_sm_pipelines.engine.job_documents import JobKind, with_text_values, without_nulls
from airflow_sm_pipelines.engine.resolver import resolve
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.job_host import JobEnd


class JobExecutor:
    """Performs the steps that make one kind of job."""

    is_instant = False

    def __init__(self, kind: JobKind) -> None:
        self._kind = kind

    def prepare(self, task: StepTask) -> dict[str, Any]:
        """The Create* request of the job, resolved and checked; empty if the job was made before a restart."""
        if task.has_resource:
            return {}
        scope = task.new_scope({self._kind.name_key: task.new_name})
        resolved = resolve(task.step.arguments, scope)
        if not isinstance(resolved, dict):
            raise StepError(f"The arguments of step '{task.step.name}' are not an object.")
        request = with_text_values(without_nulls(resolved))
        request.pop(self._kind.name_key, None)
        fault = task.services.validate_request(
            self._kind.create_operation, {**request, self._kind.name_key: task.new_name}
        )
        if fault:
            raise StepError(f"ClientError: {fault}")
        return request

    def run(self, task: StepTask, prepared: dict[str, Any]) -> StepOutcome:
        """Run the job to its end."""
        if task.stop.is_set() and not task.has_resource:
            return StepOutcome(status=StepStatus.STOPPED)
        if not task.has_resource:
            with task.store.transaction():
                record = task.jobs.create(self._kind, task.new_name, prepared)
                task.mark_executing(
                    metadata={self._kind.table_kind: {"Arn": record.arn}}, resource=(record.kind, record.name)
                )
        else:
            task.mark_executing()
        return _outcome(task.jobs.run(self._kind, task.new_name, task.stop))


def _outcome(end: JobEnd) -> StepOutcome:
    if end.status == "Completed":
        return StepOutcome()
    if end.status == "Stopped" and not end.failure_reason:
        return StepOutcome(status=StepStatus.STOPPED)
    # Recorded answers put the client's error class before the job's own reason. A training job whose time was over is
    # Stopped with a reason; nobody asked for that, so its step failed.
    return StepOutcome(
        status=StepStatus.FAILED, failure_reason=f"ClientError: {end.failure_reason or 'The job failed.'}"
    )
