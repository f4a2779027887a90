"""What the executor of a step gets and gives: the task, the outcome, and the protocol of all executors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.engine.rules.resolver import resolve

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import JsonObject, Step
    from airflow_sm_pipelines.engine.jobs.endpoint_host import EndpointHost
    from airflow_sm_pipelines.engine.jobs.job_host import JobHost
    from airflow_sm_pipelines.engine.rules.resolver import ResolutionScope
    from airflow_sm_pipelines.engine.rules.resource_names import ArnFactory
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import Store


@dataclass(frozen=True, slots=True)
class StepTask:
    """One step of one execution that is to be performed now.

    :param new_scope: makes a scope for this step with further execution variables, such as ``TrainingJobName``.
    :param new_name: the name for what the step makes; after a restart, the name of what it already made.
    :param has_resource: whether the step made its resource before a restart.
    :param stop: set when the step is asked to stop, or the engine shuts down.
    :param shutdown: set when the engine shuts down.
    :param mark_executing: records the step as Executing with these columns (``metadata``, ``items``, ...) and the
        ``resource`` it made. It gives the status of the step, which stays Stopping if a stop came first.
    """

    execution_id: str
    pipeline: str
    step: Step
    new_scope: Callable[[Mapping[str, str]], ResolutionScope]
    new_name: str
    has_resource: bool
    stop: threading.Event
    shutdown: threading.Event
    store: Store
    services: EngineServices
    arns: ArnFactory
    jobs: JobHost
    endpoints: EndpointHost
    mark_executing: Callable[..., StepStatus]

    @property
    def scope(self) -> ResolutionScope:
        """The scope without further variables."""
        return self.new_scope({})

    def resolve_arguments(self, scope: ResolutionScope) -> JsonObject:
        """The arguments of the step, resolved.

        :raises StepError: they cannot be resolved, or are not an object.
        """
        resolved = resolve(self.step.arguments, scope)
        if not isinstance(resolved, dict):
            raise StepError(f"The arguments of step '{self.step.name}' are not an object.")
        return resolved

    def check_request(self, operation: str, request: Mapping[str, Any]) -> None:
        """Check the request of an operation.

        :raises StepError: the service would refuse it.
        """
        fault = self.services.validate_request(operation, request)
        if fault:
            # Recorded, in failed steps of public repositories.
            raise StepError(f"ClientError: Failed to invoke sagemaker:{operation}. Error Details: {fault}")


@dataclass(frozen=True, slots=True)
class StepOutcome:
    """How a step ended.

    :param metadata: its ``Metadata``; None keeps what ``mark_executing`` recorded.
    :param properties: what property paths find, if that is not the Describe answer of a resource.
    :param cache_source: the ARN of the execution whose result was taken instead of running.
    :param resource: kind and name of the resource whose Describe answer property paths read.
    """

    status: StepStatus = StepStatus.SUCCEEDED
    failure_reason: str | None = None
    metadata: JsonObject | None = None
    properties: JsonObject | None = None
    resource: tuple[str, str] | None = None
    cache_source: str | None = None


class StepExecutor(Protocol):
    """Performs the steps of one type.

    ``prepare`` finds what to do and may read from outside; ``run`` does it. If ``is_instant``, ``run`` is called in the
    transaction that records the end of the step, so it must be brief and write only to the store.
    """

    is_instant: bool

    def prepare(self, task: StepTask) -> Any:
        """What ``run`` needs.

        :raises StepError: the step cannot be performed.
        """
        ...

    def run(self, task: StepTask, prepared: Any) -> StepOutcome | None:
        """Perform the step; None if it goes on without a worker and something else will end it."""
        ...
