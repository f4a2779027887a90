"""The sensor that waits for the end of an execution, whoever started it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.wait_policy import Verdict, WaitPolicy, render_failure
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS
from airflow_sm_pipelines.option_reader import parse_arguments, parse_count_or_none
from airflow_sm_pipelines.sensors.base import WAIT_TEMPLATE_FIELDS, Observation, SageMakerExecutionBaseSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.client.wait_policy import Outcome
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger


class SageMakerPipelineExecutionSensor(SageMakerExecutionBaseSensor):
    """Wait until a pipeline execution has ended, whoever started it.

    The end means the same as for the run operator: ``Failed`` fails the task at once, with the failing steps and their
    reasons. The task goes on waiting on a status that this release does not know. ``soft_fail`` skips instead of
    failing. XCom: a dict of ``pipeline_execution_arn``, ``status``, ``failure_reason`` and ``pipeline_version_id``.

    :param execution_arn: the execution: its ARN, or what the run operator returns.
    :param on_stopped: ``"fail"``, ``"succeed"`` or ``"skip"`` when somebody stopped it.
    :param on_completed_with_failures: the same when it ended although a step failed.
    :param log_lines: last log lines of each failed job to put into the error; 0 for none.
    :param kwargs: ``deferrable``, and those of Airflow's sensors: ``mode``, ``poke_interval``, ``timeout``, ...
    """

    custom_operator_name = "SM execution sensor"
    template_fields: Sequence[str] = (
        "execution_arn",
        "on_stopped",
        "on_completed_with_failures",
        "log_lines",
        *WAIT_TEMPLATE_FIELDS,
        *AWS_TEMPLATE_FIELDS,
    )

    def __init__(
        self,
        *,
        execution_arn: str,
        on_stopped: Outcome = "fail",
        on_completed_with_failures: Outcome = "fail",
        log_lines: int = 20,
        **kwargs: Any,
    ) -> None:
        super().__init__(execution_arn=execution_arn, **kwargs)
        self.on_stopped = on_stopped
        self.on_completed_with_failures = on_completed_with_failures
        self.log_lines = log_lines

    def check_arguments(self) -> None:
        """Refuse an outcome that does not exist.

        :raises ArgumentError: naming the argument.
        """
        super().check_arguments()
        self._policy()
        parse_arguments(self, {"log_lines": (parse_count_or_none, 20)})

    def observe(self, context: Context, hook: SageMakerPipelinesHook) -> Observation:
        """Check once whether the execution has ended."""
        report = hook.describe_execution(self.execution_arn)
        verdict = self._policy().verdict(report.status)
        text = f"Execution {report.arn}: {report.status}"
        if report.failure_reason:
            text += f": {report.failure_reason}"
        if verdict in (Verdict.FAIL, Verdict.SKIP):
            from airflow_sm_pipelines.client.job_logs import read_log_tails

            report = report.with_steps(hook.describe_execution_steps(report.arn))
            tails = read_log_tails(hook, report.failed_steps, max_lines=self.log_lines, warn=self.log.warning)
            text = render_failure(report, log_tails=tails)
        found = {
            "pipeline_execution_arn": report.arn,
            "status": report.status,
            "failure_reason": report.failure_reason,
            "pipeline_version_id": report.pipeline_version_id,
        }
        return Observation(verdict, to_json_value(found), text)

    def make_trigger(self, deadline: str) -> SageMakerPipelineExecutionTrigger:
        """The trigger that waits for the execution's end."""
        from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger

        return SageMakerPipelineExecutionTrigger(**self.trigger_arguments(deadline))

    def _policy(self) -> WaitPolicy:
        return WaitPolicy(on_stopped=self.on_stopped, on_completed_with_failures=self.on_completed_with_failures)
