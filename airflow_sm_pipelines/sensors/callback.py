"""The sensor that receives what a Callback step asks, so that tasks of a DAG can do the step's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.callbacks import CallbackMessage, delete_callback, receive_callback
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from airflow_sm_pipelines.hooks.token_sealing import seal_token
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, PokeReturnValue

STATE_KEY = "sagemaker_callback"
"""The key in the task state store that keeps the message once it is taken from the queue."""


class SageMakerPipelineCallbackSensor(SageMakerPipelinesOperator, BaseSensorOperator):
    """Wait for the message of a Callback step.

    ``multiple_outputs`` is on; XComs: ``token``, ``execution_arn`` and ``arguments``. The message is deleted from its
    queue only when it is in the task state store (Airflow 3.3), so a retry has it again; without that store a worker
    that dies in between loses it, and the step waits until its time is over. Messages of other executions are put back.

    The token ends the step, whoever has it; so it is sealed with Airflow's Fernet key, and
    :class:`SageMakerAnswerCallbackOperator` opens it.

    :param queue_url: the step's ``SqsQueueUrl``.
    :param execution_arn: only messages of this execution; None takes any.
    :param deferrable: wait in the triggerer instead of in a worker; None for ``[operators] default_deferrable``.
    :param kwargs: those of Airflow's sensors: ``mode``, ``poke_interval``, ``timeout``, ...
    """

    template_fields: Sequence[str] = ("queue_url", "execution_arn", *AWS_TEMPLATE_FIELDS)
    ui_color = "#e8f3ef"

    def __init__(
        self, *, queue_url: str, execution_arn: str | None = None, deferrable: bool | None = None, **kwargs: Any
    ) -> None:
        """Hold the arguments; they are checked when the task runs."""
        kwargs.setdefault("poke_interval", 10)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(**kwargs)
        self.queue_url = queue_url
        self.execution_arn = execution_arn
        self.deferrable = deferrable

    def execute(self, context: Context) -> Any:
        """Look once; go on looking, or defer, until there is a message."""
        if not self._is_deferrable():
            return super().execute(context)
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

        try:
            result = self.poke(context)
        except AirflowFailException as error:
            # What Airflow's own loop does for a sensor that pokes.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        if result:
            return result.xcom_value
        return self._defer()

    def _defer(self) -> NoReturn:
        from airflow_sm_pipelines.triggers.callback import SageMakerPipelineCallbackTrigger

        self.defer(
            trigger=SageMakerPipelineCallbackTrigger(
                queue_url=self.queue_url,
                execution_arn=self.execution_arn or None,
                waiter_delay=self.poke_interval,
                timeout_seconds=self.timeout,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=None if self.botocore_config is None else dict(self.botocore_config),
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> dict[str, Any]:
        """Go on after the deferral, with the message."""
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

        kind = (event or {}).get("kind")
        if event is None or kind == "timeout":
            raise AirflowSensorTimeout(f"No callback message came within {self.timeout:.0f} s.")
        if kind != "message":
            raise AirflowFailException(str(event.get("message")))
        fields = {name: event[name] for name in ("token", "execution_arn", "arguments", "receipt")}
        return self._keep(context, CallbackMessage(**fields))

    def poke(self, context: Context) -> PokeReturnValue | None:  # type: ignore[override]
        """Look once; None means: no message yet."""
        from airflow.sdk import PokeReturnValue

        store = context.get("task_state_store")
        kept = store.get(STATE_KEY) if store is not None and context["ti"].try_number > 1 else None
        if isinstance(kept, dict):
            self.log.info("An earlier attempt has received the message of %s.", kept.get("execution_arn"))
            return PokeReturnValue(is_done=True, xcom_value=kept)
        try:
            with failing_fast():
                message = receive_callback(self.make_hook(), self.queue_url, execution_arn=self.execution_arn or None)
        except PipelineUnavailableError as error:
            self.log.warning("%s Looking again.", error)
            return None
        if message is None:
            return None
        return PokeReturnValue(is_done=True, xcom_value=self._keep(context, message))

    def _keep(self, context: Context, message: CallbackMessage) -> dict[str, Any]:
        """Put the message where a retry finds it, then delete it from the queue."""
        found = {
            "token": seal_token(message.token),
            "execution_arn": message.execution_arn,
            "arguments": message.arguments,
        }
        store = context.get("task_state_store")
        if store is not None:
            store.set(STATE_KEY, found)
        delete_callback(self.make_hook(), self.queue_url, message)
        self.log.info("A Callback step of %s waits for its answer.", message.execution_arn)
        return found

    def _is_deferrable(self) -> bool:
        if self.deferrable is not None:
            return self.deferrable
        from airflow.providers.common.compat.sdk import conf

        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
