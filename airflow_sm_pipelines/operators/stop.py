"""The operator that stops an execution, whoever started it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.option_reader import parse_arguments, parse_execution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context


class SageMakerStopExecutionOperator(SageMakerPipelinesOperator):
    """Stop an execution and the jobs of its steps. One that has ended, or is stopping, is no error.

    The task does not wait until the jobs have ended. For that, let a ``SageMakerPipelineExecutionSensor`` with
    ``on_stopped="succeed"`` follow; it takes this task's output. A run operator stops its own execution when its task
    is ended by hand, and needs no stop operator. XComs: ``pipeline_execution_arn``, ``status``, and ``was_running``,
    whether there was something to stop.

    :param execution_arn: the execution: its ARN, or what the run operator returns.
    """

    custom_operator_name = "SM stop execution"
    template_fields: Sequence[str] = ("execution_arn", *AWS_TEMPLATE_FIELDS)

    def __init__(self, *, execution_arn: str, **kwargs: Any) -> None:
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.execution_arn = execution_arn

    @failing_fast()
    def execute(self, context: Context) -> dict[str, Any]:
        """Tell the execution to stop."""
        from airflow_sm_pipelines.client.request_tokens import make_stop_token

        parse_arguments(self, {"execution_arn": (parse_execution, "")})
        hook, arn = self.make_hook(), self.execution_arn
        was_running = hook.stop_execution(arn, token=make_stop_token(arn))
        status = str(hook.describe_execution(arn).status)
        self.log.info("%s %s: %s", "Stopping" if was_running else "Nothing to stop:", arn, status)
        return {"pipeline_execution_arn": arn, "status": status, "was_running": was_running}
