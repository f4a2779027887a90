"""AutoML steps: the user's stand-in searches for models, and the engine keeps the record of the job."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.errors import ServiceError, StepError
from airflow_sm_pipelines.engine.rules.job_documents import AUTOML, with_name, without_nulls
from airflow_sm_pipelines.engine.steps.job import find_cached, tag_execution, with_default_role
from airflow_sm_pipelines.engine.steps.stand_in import StandInExecutor
from airflow_sm_pipelines.engine.steps.task import StepOutcome
from airflow_sm_pipelines.engine.store.documents import from_ms

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject
    from airflow_sm_pipelines.engine.steps.task import StepTask

_DESCRIBED = ("BestCandidate", "AutoMLJobArtifacts", "ResolvedAttributes", "PartialFailureReasons", "ModelDeployResult")
"""The outputs that DescribeAutoMLJob shows."""


class AutoMLStandInExecutor(StandInExecutor):
    """Performs an AutoML step by the user's function, and keeps the record of an AutoML job for it.

    The output ``BestCandidate`` of the function becomes the best candidate of the job. Members that the API requires
    and the function does not give are filled in.
    """

    def prepare(self, task: StepTask) -> JsonObject:
        """What the function gets.

        :raises StepError: the service would refuse the arguments.
        """
        prepared = super().prepare(task)
        request = _make_request(task, prepared)
        task.check_request(AUTOML.create_operation, with_name(AUTOML, request, task.new_name))
        return prepared

    def run(self, task: StepTask, prepared: JsonObject) -> StepOutcome:
        """Make the record of the job and call the function, or take a cached result."""
        if not task.has_resource:
            if task.stop.is_set():
                return StepOutcome(status=StepStatus.STOPPED)
            cache_key = self._cache_key(task, prepared)
            cached = find_cached(task, cache_key)
            if cached is not None:
                return cached
            try:
                with task.store.transaction():
                    record = task.jobs.create(AUTOML, task.new_name, without_nulls(_make_request(task, prepared)))
                    tag_execution(task, record.arn)
                    task.mark_executing(
                        metadata={AUTOML.metadata_key: {"Arn": record.arn}},
                        resource=(record.kind, record.name),
                        cache_key=cache_key,
                    )
            except ServiceError as error:
                raise StepError(f"ClientError: {error.message}") from error
        try:
            with task.jobs.stoppable(AUTOML, task.new_name, task.stop):
                outcome = self._call(task, prepared)
            if outcome.status is StepStatus.SUCCEEDED:
                task.jobs.complete(AUTOML, task.new_name, _described_outputs(task, outcome))
            else:
                task.jobs.end_stopped(AUTOML, task.new_name)
        except StepError as error:
            task.jobs.fail(AUTOML, task.new_name, str(error))
            raise
        # The metadata keep the ARN of the job, unless the function names another.
        return replace(outcome, metadata=outcome.metadata or None)


def _make_request(task: StepTask, prepared: JsonObject) -> dict[str, Any]:
    """The request as the definition has it, nulls included."""
    arguments = prepared["arguments"]
    return with_default_role(task, AUTOML, arguments if isinstance(arguments, dict) else {})


def _described_outputs(task: StepTask, outcome: StepOutcome) -> dict[str, Any]:
    """The outputs that DescribeAutoMLJob shows.

    :raises StepError: the API has something else there.
    """
    record = task.store.resources.find(AUTOML.table_kind, task.new_name)
    given: dict[str, Any] = {name: value for name, value in (outcome.properties or {}).items() if name in _DESCRIBED}
    if record is None:
        return {}
    best = given.get("BestCandidate")
    if isinstance(best, dict):
        given["BestCandidate"] = {
            "CandidateName": f"{task.new_name}-best",
            "ObjectiveStatus": "Succeeded",
            "CandidateSteps": [],
            "CandidateStatus": "Completed",
            "CreationTime": from_ms(record.created_ms),
            "LastModifiedTime": task.services.clock(),
            **best,
        }
    fault = task.services.check_answer("DescribeAutoMLJob", {**record.public_document, **given})
    if fault:
        raise StepError(f"ClientError: The outputs of the stand-in are not those of an AutoML job: {fault}")
    return given
