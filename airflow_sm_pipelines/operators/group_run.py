"""The tasks of a pipeline's group that stand for no step: ``run`` starts the execution, ``ended`` judges it.

In a group without a shape, ``names`` gives the names of the steps.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Literal

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.wait_policy import Verdict, WaitPolicy
from airflow_sm_pipelines.exceptions import DefinitionError, PipelineExecutionFailedError
from airflow_sm_pipelines.operators.base import SageMakerPipelinesOperator
from airflow_sm_pipelines.operators.run import SageMakerRunPipelineOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_sm_pipelines.airflow_task.run_progress import RunProgress
    from airflow_sm_pipelines.client.outputs import OutputRequest
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.definition.shape import PipelineShape
    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.runs.repair import GroupExecution

ShapeChoice = Literal["fail", "warn"]
"""What ``run`` does about a deployed pipeline of another shape than the group's tasks."""


class _StartedPolicy(WaitPolicy):
    """The policy of a task that only starts an execution: whatever comes of it, a retry does not start another."""

    def verdict(self, status: str) -> Verdict:
        found = super().verdict(status)
        return found if found is Verdict.WAIT else Verdict.SUCCEED


class SageMakerStartGroupOperator(SageMakerRunPipelineOperator):
    """Start the execution that the tasks of a group mirror, exactly once, and return.

    :param shape: the group's shape; the deployed pipeline is held to it before the start.
    :param on_shape_change: ``"fail"`` refuses the start of a pipeline of another shape; ``"warn"`` logs how it differs.
    :param requested_outputs: what ``ended`` will read; refused before the start if the pipeline has no such step.
    :param ended_task_id: the task that judges the execution. Whoever ends it stops the execution.
    """

    custom_operator_name = "SM start"

    def __init__(
        self,
        *,
        shape: PipelineShape | None,
        on_shape_change: ShapeChoice,
        requested_outputs: Mapping[str, Any] | None,
        ended_task_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(wait_for_completion=False, deferrable=False, **kwargs)
        self.shape = shape
        self.on_shape_change = on_shape_change
        self.requested_outputs = requested_outputs
        self.ended_task_id = ended_task_id

    def _execute(self, context: Context) -> dict[str, Any]:
        from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore

        found = super()._execute(context)
        if self.stop_on_kill:
            # The execution runs on after this task, and `ended` or a clear of this task stops it.
            TaskStateStore(context).save_stop_arguments(
                self.hook_arguments.to_json(), stop_on_clear=True, stopped_by=self.ended_task_id
            )
        return found

    def _check_arguments(self) -> tuple[WaitPolicy, tuple[OutputRequest, ...]]:
        from airflow_sm_pipelines.client.outputs import parse_output_requests

        super()._check_arguments()
        return _StartedPolicy(), parse_output_requests(self.requested_outputs or {})

    def _submit(
        self, context: Context, hook: SageMakerPipelinesHook, policy: WaitPolicy, requests: tuple[OutputRequest, ...]
    ) -> str:
        self._check_shape(hook)
        return super()._submit(context, hook, policy, requests)

    def _publish_start(self, context: Context, hook: SageMakerPipelinesHook, arn: str, progress: RunProgress) -> None:
        from airflow_sm_pipelines.airflow_task.group_record import GROUP_KEY, REPAIRS_KEY
        from airflow_sm_pipelines.airflow_task.plain_xcom import set_plain_xcom

        set_plain_xcom(context["ti"], REPAIRS_KEY, [])
        set_plain_xcom(context["ti"], GROUP_KEY, {"arn": arn, "began": datetime.now(timezone.utc).isoformat()})
        super()._publish_start(context, hook, arn, progress)

    def _check_shape(self, hook: SageMakerPipelinesHook) -> None:
        """Hold the pipeline that will run to the tasks of the group.

        :raises DefinitionError: if it has another shape, and the author does not only want to be warned.
        """
        from airflow_sm_pipelines.definition import parse_definition
        from airflow_sm_pipelines.definition.shape import find_shape_changes, make_shape
        from airflow_sm_pipelines.runs.start_request import await_alias

        if self.shape is None:
            return
        name, version = self.pipeline_name, self.version
        deployed = await_alias(version, lambda: hook.describe_pipeline(name, version=version))
        changes = find_shape_changes(self.shape, make_shape(parse_definition(deployed.definition_text, name=name)))
        if not changes:
            return
        text = f"Pipeline '{name}' has another shape than the tasks of this group: {'; '.join(changes)}."
        if self.on_shape_change == "fail":
            raise DefinitionError(
                f"{text} Write the shape's file anew with `sm-pipelines shape`; on_shape_change='warn' runs it all the "
                "same."
            )
        self.log.warning("%s Steps that are gone will be skipped; 'ended' will tell of new ones.", text)


class SageMakerListStepsOperator(SageMakerPipelinesOperator):
    """Give the names of an execution's steps, each after all that it waits for, as a list to map over.

    :param execution_arn: the execution; templated.
    """

    custom_operator_name = "SM steps"
    template_fields: Sequence[str] = ("execution_arn",)

    def __init__(self, *, execution_arn: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.execution_arn = execution_arn

    @failing_fast()
    def execute(self, context: Context) -> list[str]:
        """Read the definition of the execution."""
        from airflow_sm_pipelines.definition import inspect_definition
        from airflow_sm_pipelines.definition.shape import make_shape

        definition = inspect_definition(self.make_hook().describe_execution_definition(self.execution_arn))[0]
        if definition is None:
            raise DefinitionError(f"The definition of {self.execution_arn} cannot be read, so its steps have no tasks.")
        return list(make_shape(definition).names)


class SageMakerJudgeGroupOperator(SageMakerRunPipelineOperator):
    """Wait until every execution of the group's run has ended, judge them as one run, and publish its outputs.

    A run has more than one execution where steps were cleared after they had succeeded. Each step counts as its newest
    execution has it.

    :param run_task_id: the task that starts the execution.
    :param step_tasks: the ids of the steps' tasks, by step name.
    """

    custom_operator_name = "SM ended"

    def __init__(self, *, run_task_id: str, step_tasks: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(pipeline_name="", on_retry="fail", on_clear="resume", **kwargs)
        self.run_task_id = run_task_id
        self.step_tasks = dict(step_tasks)
        self._executions: tuple[GroupExecution, ...] = ()
        self._ti: Any = None

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Wait for the end of the run, or defer; publish its outputs."""
        self._read_executions(context)
        return super().execute(context)

    @failing_fast()
    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        execution_arn: str | None = None,
        try_number: int | None = None,
    ) -> dict[str, Any]:
        """Go on after the deferral: publish the outputs, or fail with the reason."""
        self._read_executions(context)
        return super().execute_complete(context, event, execution_arn, try_number)

    def _read_executions(self, context: Context) -> None:
        from airflow_sm_pipelines.airflow_task.group_record import read_group_executions

        self._ti = context["ti"]
        found = read_group_executions(self._ti, self.run_task_id)
        self._executions = tuple(one for one in found if one.arn is not None)
        if not self._executions:
            raise PipelineExecutionFailedError(
                f"The group has started no execution: see task '{self.run_task_id}'.", is_final=True
            )

    def _submit(
        self, context: Context, hook: SageMakerPipelinesHook, policy: WaitPolicy, requests: tuple[OutputRequest, ...]
    ) -> str:
        from airflow_sm_pipelines.airflow_task.task_identity import parse_task_identity
        from airflow_sm_pipelines.definition.arns import pipeline_name_of

        self._identity = parse_task_identity(context)
        if self.stop_on_kill:
            self._stopper = self._make_stopper()
        self._execution_arn = arn = str(self._executions[-1].arn)
        self.pipeline_name = pipeline_name_of(arn)
        return arn

    def _replace_event(
        self, context: Context, hook: SageMakerPipelinesHook, execution_arn: str | None
    ) -> dict[str, Any]:
        return super()._replace_event(context, hook, execution_arn or str(self._executions[-1].arn))

    def _read_end(
        self, hook: SageMakerPipelinesHook, event: Mapping[str, Any], progress: RunProgress
    ) -> tuple[str, ExecutionReport]:
        from airflow_sm_pipelines.runs.repair import merge_reports

        kind, report = super()._read_end(hook, event, progress)
        if kind != "ended":
            return kind, report
        reports = {report.arn: report}
        for one in self._executions:
            if one.arn is not None and one.arn not in reports:
                reports[one.arn] = hook.describe_report(one.arn)
                if not reports[one.arn].is_terminal:
                    self._defer(one.arn, self._deadline(), log_cursor=progress.cursor)
        if len(self._executions) > 1:
            self.log.info("The run has %s executions: %s", len(reports), ", ".join(reports))
        merged = merge_reports(self._executions, reports)
        self._tell_differences(merged)
        return kind, merged

    def _tell_differences(self, report: ExecutionReport) -> None:
        """Say which steps have no task, and which tasks show another end than their step's."""
        from airflow_sm_pipelines.airflow_task.group_record import find_differences

        others = [step.name for step in report.steps if step.iteration is None and step.name not in self.step_tasks]
        if others:
            self.log.warning("Steps without a task in this group, whose shape is older: %s", ", ".join(others))
        for line in find_differences(self._ti, report, self.step_tasks):
            self.log.warning("%s", line)
