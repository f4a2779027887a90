"""Steps that the local engine cannot run and that have no stand-in: they fail and say what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.stand_in_table import explain_registration
from airflow_sm_pipelines.engine.rules.errors import StepError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask


class UnsupportedExecutor:
    """Fails a step of a type that the engine does not run, so that it is never passed over."""

    is_instant = True

    def __init__(self, supported: Iterable[str]) -> None:
        self._supported = ", ".join(sorted(supported))

    def prepare(self, task: StepTask) -> None:
        """Fail.

        :raises StepError: always.
        """
        raise StepError(
            f"Step type '{task.step.type}' has no local meaning, so step '{task.step.name}' cannot run here."
            f" The local engine runs: {self._supported}."
            f" {explain_registration(task.services.stand_ins, step=task.step.name, type=task.step.type)}"
        )

    def run(self, task: StepTask, prepared: None) -> StepOutcome:
        """Never reached."""
        raise AssertionError
