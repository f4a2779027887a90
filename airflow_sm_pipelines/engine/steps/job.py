"""Processing, Training, Transform and Tuning steps: they make a job, run it, and end as it ends."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition.cache_identity import select_cache_fields
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.registry.experiments import ensure_trial
from airflow_sm_pipelines.engine.rules.cache_key import explain_changes, make_cache_key
from airflow_sm_pipelines.engine.rules.definition_limits import MAX_ENTITY_NAME, is_entity_name
from airflow_sm_pipelines.engine.rules.errors import ServiceError, StepError
from airflow_sm_pipelines.engine.rules.job_documents import (
    TUNING,
    JobKind,
    with_name,
    with_role,
    with_text_values,
    without_nulls,
)
from airflow_sm_pipelines.engine.rules.resource_names import trial_names
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask
from airflow_sm_pipelines.engine.store.documents import to_ms
from airflow_sm_pipelines.local_endpoint import EXECUTION_LOG_GROUP

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.engine.jobs.job_host import JobEnd


@dataclass(frozen=True, slots=True)
class PreparedJob:
    """A job that is about to run.

    :param request: its Create* request.
    :param cache_fields: the members of the step that decide about caching, as the definition has them. The role of the
        execution is not among them.
    """

    request: dict[str, Any] = field(default_factory=dict)
    cache_fields: JsonObject = field(default_factory=dict)


class JobExecutor:
    """Performs the steps that make one kind of job."""

    is_instant = False

    def __init__(self, kind: JobKind) -> None:
        self._kind = kind

    def prepare(self, task: StepTask) -> PreparedJob:
        """The job, resolved and checked; empty if it was made before a restart."""
        if task.has_resource:
            return PreparedJob()
        scope = task.new_scope({self._kind.name_key: task.new_name})
        resolved = task.resolve_arguments(scope)
        request = with_default_role(task, self._kind, with_text_values(resolved, task.step.arguments))
        if self._kind is not TUNING and not request.get("ExperimentConfig"):
            request |= _experiment_config(task, scope.experiment)
        # The service checks members that are null, too, and a name that it will not use.
        task.check_request(self._kind.create_operation, with_name(self._kind, request, task.new_name))
        request.pop(self._kind.name_key, None)
        return PreparedJob(without_nulls(request), select_cache_fields(task.step.type, resolved, {}))

    def run(self, task: StepTask, prepared: PreparedJob) -> StepOutcome:
        """Run the job to its end."""
        if task.stop.is_set() and not task.has_resource:
            return StepOutcome(status=StepStatus.STOPPED)
        if not task.has_resource:
            cache_key = make_cache_key(task.step.type, prepared.cache_fields) if may_use_cache(task) else None
            cached = find_cached(task, cache_key)
            if cached is not None:
                return cached
            if cache_key is not None:
                _log_cache_miss(task, prepared.request, cache_key)
            try:
                with task.store.transaction():
                    _ensure_own_trial(task, prepared.request.get("ExperimentConfig") or {})
                    record = task.jobs.create(self._kind, task.new_name, prepared.request)
                    tag_execution(task, record.arn)
                    task.mark_executing(
                        metadata={self._kind.metadata_key: {"Arn": record.arn}},
                        resource=(record.kind, record.name),
                        cache_key=cache_key,
                    )
            except ServiceError as error:
                raise StepError(f"ClientError: {error.message}") from error
        else:
            task.mark_executing()
        return outcome_of_job(task.jobs.run(self._kind, task.new_name, task.stop))


def tag_execution(task: StepTask, arn: str) -> None:
    """Tag what a step made with its execution, as the service does."""
    execution = task.store.executions.find(task.execution_id)
    if execution is not None:
        task.store.tags.add(arn, [{"Key": "sagemaker:pipeline-execution-arn", "Value": execution.arn}])


def with_default_role(task: StepTask, kind: JobKind, request: dict[str, Any]) -> dict[str, Any]:
    """The request of a step's job, with the role of the execution if it names none."""
    execution = task.store.executions.find(task.execution_id)
    return with_role(kind, request, execution.role_arn if execution is not None else None)


def may_use_cache(task: StepTask) -> bool:
    """Whether the step may take an earlier result."""
    return task.step.cache_config is not None and task.step.cache_config.enabled


def find_cached(task: StepTask, cache_key: str | None) -> StepOutcome | None:
    """The newest earlier result with this key that is not too old; None if there is none, or the key is None."""
    if cache_key is None or task.step.cache_config is None:
        return None
    lifetime = task.step.cache_config.lifetime
    since_ms = to_ms(task.services.clock() - lifetime) if lifetime is not None else 0
    found = task.store.steps.find_cached(task.pipeline, task.step.name, cache_key=cache_key, since_ms=since_ms)
    if found is None:
        return None
    record, source = found
    has_resource = record.resource_kind is not None and record.resource_name is not None
    return StepOutcome(
        metadata=record.metadata,
        properties=record.properties,
        resource=(str(record.resource_kind), str(record.resource_name)) if has_resource else None,
        cache_source=source,
    )


def outcome_of_job(end: JobEnd) -> StepOutcome:
    """The outcome of a step whose job ended so."""
    if end.status == "Completed":
        return StepOutcome()
    if end.status == "Stopped" and not end.failure_reason:
        return StepOutcome(status=StepStatus.STOPPED)
    # Recorded answers put the client's error class before the job's own reason. A training job whose time was over is
    # Stopped with a reason; nobody asked for that, so its step failed.
    return StepOutcome(
        status=StepStatus.FAILED,
        failure_reason=f"ClientError: {(end.failure_reason or 'The job failed.').removeprefix('ClientError: ')}",
    )


def _experiment_config(task: StepTask, experiment: Mapping[str, JsonValue]) -> dict[str, Any]:
    """The member of the request that puts the job into the execution's trial."""
    names = trial_names(experiment, pipeline=task.pipeline, execution_id=task.execution_id)
    if not experiment or not all(is_entity_name(name) for name in names):
        return {}
    config = {"ExperimentName": names[0], "TrialName": names[1]}
    title = re.sub(r"[^A-Za-z0-9-]+", "-", task.step.name)[:MAX_ENTITY_NAME].strip("-")
    return {"ExperimentConfig": {**config, **({"TrialComponentDisplayName": title} if title else {})}}


def _ensure_own_trial(task: StepTask, config: Mapping[str, Any]) -> None:
    """Make the execution's own trial before its first job needs it. A trial that the step names must exist already."""
    own = task.scope.experiment
    names = trial_names(own, pipeline=task.pipeline, execution_id=task.execution_id)
    if own and (config.get("ExperimentName"), config.get("TrialName")) == names:
        ensure_trial(task.store, task.arns, *names, now=task.services.clock())


def _log_cache_miss(task: StepTask, request: dict[str, Any], cache_key: str) -> None:
    """Write to the log of the execution why no cached result was taken."""
    last = task.store.steps.find_last_cacheable(task.pipeline, task.step.name)
    if last is None:
        lines = [f"Cache miss: step '{task.step.name}' has no earlier result with caching in this pipeline."]
    else:
        record, key, source = last
        resource = task.store.resources.find(record.resource_kind or "", record.resource_name or "")
        old = resource.document.get("$request", {}) if resource is not None else {}
        lines = explain_changes(task.step.type, old, request, source=source)
        if key == cache_key:
            expires = task.step.cache_config.expire_after if task.step.cache_config else None
            lines = [f"Cache miss: the result in {source} is older than ExpireAfter {expires}."]
    now_ms = task.services.now_ms()
    stream = f"{task.execution_id}/{task.step.name}"
    task.services.write_logs(EXECUTION_LOG_GROUP, stream, [(now_ms, line) for line in lines])
