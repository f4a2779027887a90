"""The trigger that waits for one step of an execution while its task is deferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

if TYPE_CHECKING:
    from airflow_sm_pipelines.client.reports import ExecutionReport


class SageMakerPipelineStepTrigger(SageMakerPipelineExecutionTrigger):
    """Fires one event when a step has ended, or its execution has; who takes it up finds out which.

    Tasks that wait for steps of the same execution share each look at its steps.

    :param step_name: the step, as the definition names it.
    :param kwargs: those of :class:`SageMakerPipelineExecutionTrigger`; nothing is stopped on a kill.
    """

    def __init__(self, *, step_name: str, **kwargs: Any) -> None:
        """Hold what the wait needs; nothing is called yet."""
        kwargs["stop_on_kill"] = False
        if kwargs.get("progress_delay") is None:
            kwargs["progress_delay"] = kwargs.get("waiter_delay", 30)
        super().__init__(**kwargs)
        self.step_name = step_name

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class path and arguments that make this trigger again."""
        path, arguments = super().serialize()
        return path, {**arguments, "step_name": self.step_name}

    def is_over(self, report: ExecutionReport) -> bool:
        """Whether the step, or the whole execution, has ended."""
        step = report.latest_step(self.step_name)
        return report.is_terminal or (step is not None and step.is_terminal)
