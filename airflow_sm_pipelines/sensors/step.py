"""The sensor that waits for one step of an execution, so that a DAG can go on before the whole execution has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.choices import check_choice
from airflow_sm_pipelines.client.wait_policy import Outcome, Verdict, WaitPolicy, render_failure, render_step
from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.exceptions import ArgumentError, PipelineAccessError
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS
from airflow_sm_pipelines.sensors.base import WAIT_TEMPLATE_FIELDS, Observation, SageMakerExecutionBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.step import SageMakerPipelineStepTrigger


class SageMakerPipelineStepSensor(SageMakerExecutionBaseSensor):
    """Wait until one step of a pipeline execution has ended.

    A failed step fails the task with its reason. So does, at the first look, a name that no step of the pipeline has.
    XCom: a dict of the step's ``name``, ``type``, ``status``,
    ``seconds`` and ``job_arn``; None where the step did not run and ``on_not_run`` lets the task succeed.

    :param execution_arn: the execution: its ARN, or what the run operator returns.
    :param step_name: the step, as the definition names it; of a ForEach body's steps, the last to start counts.
    :param on_stopped: ``"fail"``, ``"succeed"`` or ``"skip"`` when the step was stopped.
    :param on_not_run: the same when the execution has succeeded and the step did not run, because its branch was not
        taken or the execution did not select it. If the execution has failed or was stopped before the step, the task
        fails with the execution's reason.
    :param on_completed_with_failures: whether ``on_not_run`` also holds for an execution that ended although some step
        failed: ``"succeed"``. With ``"fail"`` the task fails, with ``"skip"`` it skips.
    :param kwargs: ``deferrable``, and those of Airflow's sensors: ``mode``, ``poke_interval``, ``timeout``, ...
    """

    custom_operator_name = "SM step sensor"
    template_fields: Sequence[str] = (
        "execution_arn",
        "step_name",
        "on_stopped",
        "on_not_run",
        "on_completed_with_failures",
        *WAIT_TEMPLATE_FIELDS,
        *AWS_TEMPLATE_FIELDS,
    )

    def __init__(
        self,
        *,
        execution_arn: str,
        step_name: str,
        on_stopped: Outcome = "fail",
        on_not_run: Outcome = "skip",
        on_completed_with_failures: Outcome = "fail",
        **kwargs: Any,
    ) -> None:
        super().__init__(execution_arn=execution_arn, **kwargs)
        self.step_name = step_name
        self.on_stopped = on_stopped
        self.on_not_run = on_not_run
        self.on_completed_with_failures = on_completed_with_failures
        self._is_name_known = False

    def check_arguments(self) -> None:
        """Refuse an outcome that does not exist.

        :raises ArgumentError: naming the argument.
        """
        super().check_arguments()
        check_choice("on_stopped", self.on_stopped, Outcome)
        check_choice("on_not_run", self.on_not_run, Outcome)
        check_choice("on_completed_with_failures", self.on_completed_with_failures, Outcome)

    def observe(self, context: Context, hook: SageMakerPipelinesHook) -> Observation:
        """Check once whether the step has ended."""
        report = hook.describe_report(self.execution_arn)
        step = report.latest_step(self.step_name)
        if step is None:
            self._check_name(hook)
        if step is None or not step.is_terminal:
            if report.is_terminal:
                return self._judge_unrun(report)
            state = "has not started" if step is None else f"is {step.status}"
            text = f"Step '{self.step_name}' {state}; execution {report.arn}: {report.status}"
            return Observation(Verdict.WAIT, None, text)
        verdict = {
            StepStatus.SUCCEEDED.value: Verdict.SUCCEED,
            StepStatus.STOPPED.value: Verdict(self.on_stopped),
        }.get(str(step.status), Verdict.FAIL)
        return Observation(verdict, step.summary(), f"{render_step(step)} (execution {report.arn})")

    def _check_name(self, hook: SageMakerPipelinesHook) -> None:
        """Refuse the name of a step that the execution can never run. Asks for the definition once.

        :raises ArgumentError: with the nearest name.
        """
        if self._is_name_known:
            return
        from airflow_sm_pipelines.definition import inspect_definition
        from airflow_sm_pipelines.definition.step_places import find_step_problem

        self._is_name_known = True
        try:
            definition = inspect_definition(hook.describe_execution_definition(self.execution_arn))[0]
        except PipelineAccessError as error:
            self.log.warning("Whether the pipeline has a step '%s' could not be checked: %s", self.step_name, error)
            return
        problem = find_step_problem(definition, self.step_name) if definition is not None else None
        if problem is not None:
            raise ArgumentError(f"step_name={self.step_name!r}: {problem} (execution {self.execution_arn})")

    def _judge_unrun(self, report: ExecutionReport) -> Observation:
        """What it means that the execution has ended without the step."""
        ran = ", ".join(one.name for one in report.steps) or "none"
        text = f"Execution {report.arn} ended {report.status} and did not run step '{self.step_name}'; ran: {ran}."
        policy = WaitPolicy(on_completed_with_failures=self.on_completed_with_failures)
        verdict = policy.verdict(report.status)
        if verdict is Verdict.SUCCEED:
            return Observation(Verdict(self.on_not_run), None, text)
        return Observation(verdict, None, f"{text}\n{render_failure(report)}")

    def make_trigger(self, deadline: str) -> SageMakerPipelineStepTrigger:
        """The trigger that waits for the step's end."""
        from airflow_sm_pipelines.triggers.step import SageMakerPipelineStepTrigger

        return SageMakerPipelineStepTrigger(step_name=self.step_name, **self.trigger_arguments(deadline))
