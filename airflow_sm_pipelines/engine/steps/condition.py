"""Condition steps: they evaluate the conditions; the scheduler then takes the branch."""

from __future__ import annotations

from airflow_sm_pipelines.definition import ConditionStep
from airflow_sm_pipelines.engine.rules.condition_evaluation import evaluate_all
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask


class ConditionExecutor:
    """Evaluates a Condition step."""

    is_instant = True

    def prepare(self, task: StepTask) -> bool:
        """Whether all conditions hold."""
        if not isinstance(task.step, ConditionStep):
            raise StepError(f"Step '{task.step.name}' has no conditions.")
        return evaluate_all(task.step.conditions, task.scope)

    def run(self, task: StepTask, prepared: bool) -> StepOutcome:
        """The outcome, spelled as in recorded answers: ``True`` in the metadata, a boolean as a property."""
        return StepOutcome(metadata={"Condition": {"Outcome": str(prepared)}}, properties={"Outcome": prepared})
