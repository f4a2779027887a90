"""The operator whose task is one step of a pipeline's execution: it mirrors the step, and repairs it when cleared.

:class:`~airflow_sm_pipelines.task_groups.pipeline_steps.SageMakerPipelineTaskGroup` makes these tasks.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import StartTriggerArgs

from airflow_sm_pipelines.airflow_names import can_triggers_read_xcoms
from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.exceptions import PipelineExecutionFailedError
from airflow_sm_pipelines.links.buttons import (
    SageMakerCallbackQueueLink,
    SageMakerJobLogsLink,
    SageMakerPipelineExecutionLink,
    SageMakerPipelineLink,
)
from airflow_sm_pipelines.operators.base import SageMakerPipelinesOperator
from airflow_sm_pipelines.option_reader import refuse_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.airflow_task.group_record import XComGroupRecord
    from airflow_sm_pipelines.runs.step_repairer import StepRepairer

TRIGGER = "airflow_sm_pipelines.triggers.mirrored_step.SageMakerMirroredStepTrigger"

MIRROR_SECONDS = 15.0
"""Seconds between two checks of an execution's steps; all tasks of an execution share a check."""


class SageMakerMirrorStepOperator(SageMakerPipelinesOperator):
    """Mirror one step of an execution that another task has started.

    From Airflow 3.3 on it runs in the triggerer from its start and needs no worker. Before, and under ``airflow dags
    test``, a worker begins and ends it, and it is deferred meanwhile.

    **XComs.** Those of a step that succeeded: ``name``, ``type``, ``status``, ``seconds``, ``job_arn`` and what the
    step yields (``model``, ``metrics``, ``outputs``, ``outcome``, ...), each by its own key, and all in one dict as the
    return value.

    :param step_name: the step, as the definition names it.
    :param run_task_id: the task that starts the execution.
    :param ended_task_id: the task that judges it.
    :param step_prefix: what stands before a step's name in the id of its task.
    :param branches: the branches in which the step stands, as its shape has them.
    :param waiter_delay: seconds between two checks of the execution's steps.
    :param max_wait_seconds: stop the execution when it has run for so long.
    :param stream_logs: write the log lines of the step's job to the task's log.
    :param max_refused_seconds: give up when each check has been refused for so long.
    :param stop_on_kill: stop the execution when somebody ends the task that judges it, or its time is over.
    """

    custom_operator_name = "SM step"
    template_fields: Sequence[str] = ()
    operator_extra_links = (
        SageMakerPipelineExecutionLink(),
        SageMakerPipelineLink(),
        SageMakerJobLogsLink(),
        SageMakerCallbackQueueLink(),
    )
    needs_worker = False
    """Whether a worker begins the task in every Airflow."""

    def __init__(
        self,
        *,
        step_name: str,
        run_task_id: str,
        ended_task_id: str,
        step_prefix: str,
        branches: Sequence[Sequence[Any]] = (),
        waiter_delay: float = MIRROR_SECONDS,
        max_wait_seconds: float | None = None,
        stream_logs: bool = True,
        max_refused_seconds: float = MAX_REFUSED_SECONDS,
        stop_on_kill: bool = True,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.step_name = step_name
        self.run_task_id = run_task_id
        self.ended_task_id = ended_task_id
        self.step_prefix = step_prefix
        self.branches = branches
        self.waiter_delay = waiter_delay
        self.max_wait_seconds = max_wait_seconds
        self.stream_logs = stream_logs
        self.max_refused_seconds = max_refused_seconds
        self.stop_on_kill = stop_on_kill
        for name in ("aws_conn_id", "region_name", "verify"):
            refuse_template(name, getattr(self, name))
        if can_triggers_read_xcoms() and not self.needs_worker:
            self.start_from_trigger = True
            self.start_trigger_args = StartTriggerArgs(
                trigger_cls=TRIGGER, next_method="execute_complete", trigger_kwargs=self.trigger_arguments()
            )

    def trigger_arguments(self) -> dict[str, Any]:
        """The arguments of the trigger."""
        return {
            "step_name": self.step_name,
            "run_task_id": self.run_task_id,
            "ended_task_id": self.ended_task_id,
            "step_prefix": self.step_prefix,
            "branches": [list(one) for one in self.branches],
            "waiter_delay": float(self.waiter_delay),
            "max_wait_seconds": self.max_wait_seconds,
            "stream_logs": self.stream_logs,
            "max_refused_seconds": float(self.max_refused_seconds),
            "stop_on_kill": self.stop_on_kill,
            **self.hook_arguments.to_json(),
        }

    @failing_fast()
    def execute(self, context: Context) -> None:
        """Find the execution, repaired if the task was cleared, and defer until the step has ended."""
        from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger

        found = self._find_execution(context["ti"])
        self.defer(
            trigger=SageMakerMirroredStepTrigger(mirrored=found, **self.trigger_arguments()),
            method_name="execute_complete",
        )

    def _find_execution(self, ti: Any) -> dict[str, Any]:
        """The execution to mirror, as :class:`Mirrored` has it in JSON, repaired if the task was cleared."""
        repairer = self._make_repairer(ti, self._open_record(ti))
        while (found := repairer.look()) is None:
            time.sleep(min(repairer.delay_seconds or 1.0, float(self.waiter_delay)))
        return found.to_json()

    @failing_fast()
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Push what the step yields, or fail or skip the task with the step's reason."""
        if event is None or event.get("kind") != "step":
            return self.execute(context)
        ti = context["ti"]
        self.publish_links(ti, event["links"])
        if "seen" in event:
            record = self._open_record(ti)
            record.memory.seen, record.memory.ended_at = (event["seen"][0], event["seen"][1]), time.time()
            record.save_memory()
        if event["verdict"] == "fail":
            raise PipelineExecutionFailedError(event["text"], is_final=True)
        if event["verdict"] == "skip":
            from airflow_sm_pipelines.airflow_names import AirflowSkipException

            self.log.warning("Skipped: %s", event["text"])
            raise AirflowSkipException(event["text"])
        self.log.info("%s", event["text"])
        found: dict[str, Any] = event["xcoms"].get("return_value", {})
        return found

    def _open_record(self, ti: Any) -> XComGroupRecord:
        from airflow_sm_pipelines.airflow_task.group_record import XComGroupRecord

        return XComGroupRecord(ti, run_task_id=self.run_task_id, step_prefix=self.step_prefix)

    def _make_repairer(self, ti: Any, record: XComGroupRecord) -> StepRepairer:
        from airflow_sm_pipelines.airflow_task.group_record import describe_repair
        from airflow_sm_pipelines.runs.step_repairer import StepRepairer

        description = describe_repair(ti, self.run_task_id)
        return StepRepairer(self.make_hook(), record, step=self.step_name, description=description, log=self.log)
