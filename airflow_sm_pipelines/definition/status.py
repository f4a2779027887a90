"""The states of executions and of steps.

Source: ``PipelineExecutionStatus`` and ``StepStatus`` of the SageMaker API.
"""

from __future__ import annotations

from enum import Enum


class ExecutionStatus(str, Enum):
    """The state of a pipeline execution."""

    EXECUTING = "Executing"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"
    COMPLETED_WITH_FAILURES = "CompletedWithFailures"

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended; only RetryPipelineExecution starts it again."""
        return self not in (ExecutionStatus.EXECUTING, ExecutionStatus.STOPPING)

    def __str__(self) -> str:
        return self.value


class StepStatus(str, Enum):
    """The state of one step of an execution."""

    STARTING = "Starting"
    EXECUTING = "Executing"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    FAILED = "Failed"
    SUCCEEDED = "Succeeded"

    @property
    def is_terminal(self) -> bool:
        """Whether the step has ended."""
        return self in (StepStatus.STOPPED, StepStatus.FAILED, StepStatus.SUCCEEDED)

    def __str__(self) -> str:
        return self.value
