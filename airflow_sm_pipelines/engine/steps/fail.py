"""Fail steps: they end the execution as Failed, with a message of the author."""

from __future__ import annotations

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.resolver import resolve_text
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

_MAX_MESSAGE = 3072


class FailExecutor:
    """Performs a Fail step."""

    is_instant = True

    def prepare(self, task: StepTask) -> str:
        """The resolved message; empty if the step has none."""
        return resolve_text(task.step.arguments.get("ErrorMessage") or "", task.scope)

    def run(self, task: StepTask, prepared: str) -> StepOutcome:
        """A failure. Its reason is the message; if that is empty, there is none."""
        return StepOutcome(
            status=StepStatus.FAILED,
            failure_reason=prepared or None,
            metadata={"Fail": {"ErrorMessage": prepared[:_MAX_MESSAGE]}},
        )
