"""The status changes that executions and steps may make. The store checks every status here before it writes it."""

from __future__ import annotations

from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.engine.rules.errors import StateError

_EXECUTION_CHANGES: dict[ExecutionStatus, frozenset[ExecutionStatus]] = {
    ExecutionStatus.EXECUTING: frozenset(
        {
            ExecutionStatus.STOPPING,
            ExecutionStatus.FAILED,
            ExecutionStatus.SUCCEEDED,
            ExecutionStatus.COMPLETED_WITH_FAILURES,
        }
    ),
    # Failed, if a Lambda function ran out of time meanwhile (documented for StopPipelineExecution).
    ExecutionStatus.STOPPING: frozenset({ExecutionStatus.STOPPED, ExecutionStatus.FAILED}),
    # RetryPipelineExecution is the only way out of a terminal status.
    ExecutionStatus.STOPPED: frozenset({ExecutionStatus.EXECUTING}),
    ExecutionStatus.FAILED: frozenset({ExecutionStatus.EXECUTING}),
    ExecutionStatus.COMPLETED_WITH_FAILURES: frozenset({ExecutionStatus.EXECUTING}),
    ExecutionStatus.SUCCEEDED: frozenset(),
}

_STEP_CHANGES: dict[StepStatus, frozenset[StepStatus]] = {
    StepStatus.STARTING: frozenset(
        {StepStatus.EXECUTING, StepStatus.STOPPING, StepStatus.STOPPED, StepStatus.FAILED, StepStatus.SUCCEEDED}
    ),
    # Back to Starting, if the engine died while the step ran and now runs it again.
    StepStatus.EXECUTING: frozenset(
        {StepStatus.STARTING, StepStatus.STOPPING, StepStatus.STOPPED, StepStatus.FAILED, StepStatus.SUCCEEDED}
    ),
    # A job may end by itself before it is stopped, so Stopping leads to all three ends.
    StepStatus.STOPPING: frozenset({StepStatus.STOPPED, StepStatus.FAILED, StepStatus.SUCCEEDED}),
    StepStatus.STOPPED: frozenset(),
    StepStatus.FAILED: frozenset(),
    StepStatus.SUCCEEDED: frozenset(),
}


def check_execution_change(current: ExecutionStatus, new: ExecutionStatus) -> None:
    """Check that an execution may go from ``current`` to ``new``.

    :raises StateError: it may not.
    """
    if new not in _EXECUTION_CHANGES[current]:
        raise StateError(f"An execution cannot go from {current} to {new}.")


def check_step_change(current: StepStatus, new: StepStatus) -> None:
    """Check that a step may go from ``current`` to ``new``.

    :raises StateError: it may not.
    """
    if new not in _STEP_CHANGES[current]:
        raise StateError(f"A step cannot go from {current} to {new}.")


def is_retryable(status: ExecutionStatus) -> bool:
    """Whether RetryPipelineExecution takes an execution of this status."""
    return ExecutionStatus.EXECUTING in _EXECUTION_CHANGES[status]
