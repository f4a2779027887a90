"""The closed sets of states that executions, steps and pipelines pass through, and what each state means.

Source: ``PipelineExecutionStatus``, ``StepStatus`` and ``PipelineStatus`` of the SageMaker API.
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
