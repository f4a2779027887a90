"""The operator that answers a Callback step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.exceptions import ArgumentError
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator
from airflow_sm_pipelines.option_reader import parse_flag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context


class SageMakerAnswerCallbackOperator(SageMakerPipelinesOperator):
    """End a Callback step. A retry sends the same answer again, which SageMaker takes for the first one.

    XCom: the execution's ARN.

    :param token: the step's token, as :class:`SageMakerPipelineCallbackSensor` gives it; or the whole event that holds
        it, as :func:`pipeline_events` gives it. It is opened here, and masked in the log.
    :param outputs: the step's declared outputs.
    :param success: whether the step succeeds; may be a template that gives ``True`` or ``False``.
    :param failure_reason: why the step fails; at most 256 characters are sent.
    """

    custom_operator_name = "SM answer callback"
    template_fields: Sequence[str] = ("token", "outputs", "success", "failure_reason", *AWS_TEMPLATE_FIELDS)
    template_fields_renderers = {"outputs": "json"}

    def __init__(
        self,
        *,
        token: str | Mapping[str, Any],
        outputs: Mapping[str, Any] | None = None,
        success: bool | str = True,
        failure_reason: str = "Refused in Airflow",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.token = token
        self.outputs = outputs
        self.success = success
        self.failure_reason = failure_reason

    @failing_fast()
    def execute(self, context: Context) -> str:
        """Send the answer."""
        from airflow_sm_pipelines.airflow_task.token_sealing import open_token
        from airflow_sm_pipelines.client.callbacks import send_failure, send_success

        is_success = parse_flag("success", self.success)
        if is_success is None:
            raise ArgumentError(f"success={self.success!r}: expected True or False.")
        token = open_token(self.token if isinstance(self.token, str) else str(self.token.get("token")))
        if is_success:
            arn = send_success(self.make_hook(), token, self.outputs or {})
        else:
            arn = send_failure(self.make_hook(), token, self.failure_reason)
        self.log.info("Answered a Callback step of %s: %s", arn, "success" if is_success else self.failure_reason)
        return arn
