"""The sensor that receives the message of a Callback step, so that tasks of a DAG can do the step's work."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
from airflow_sm_pipelines.airflow_task.token_sealing import seal_token
from airflow_sm_pipelines.client.callbacks import CallbackMessage, delete_callback, receive_callback
from airflow_sm_pipelines.client.wait_policy import Verdict
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS
from airflow_sm_pipelines.option_reader import parse_arguments, parse_execution
from airflow_sm_pipelines.runs.results import make_watch_error
from airflow_sm_pipelines.sensors.base import WAIT_TEMPLATE_FIELDS, Observation, SageMakerPipelinesSensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, PokeReturnValue

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.callback import SageMakerPipelineCallbackTrigger


NO_MESSAGE = "no message of a Callback step"


class SageMakerPipelineCallbackSensor(SageMakerPipelinesSensor):
    """Wait for the message of a Callback step.

    ``multiple_outputs`` is on; XComs: ``token``, ``execution_arn`` and ``arguments``. The message is deleted from its
    queue only when it is in the task state store (Airflow 3.3), so that a retry has it again. Without that store, a
    worker that dies in between loses the message, and the step waits until its time is over. Messages of other
    executions are put back.

    Whoever has the token can end the step. So it is sealed with Airflow's Fernet key, and
    :class:`SageMakerAnswerCallbackOperator` opens it.

    :param queue_url: the step's ``SqsQueueUrl``.
    :param execution_arn: take only messages of this execution; None takes any.
    :param deferrable: wait in the triggerer instead of in a worker; None for ``[operators] default_deferrable``.
    :param kwargs: those of Airflow's sensors: ``mode``, ``poke_interval``, ``timeout``, ...
    """

    custom_operator_name = "SM callback sensor"
    template_fields: Sequence[str] = ("queue_url", "execution_arn", *WAIT_TEMPLATE_FIELDS, *AWS_TEMPLATE_FIELDS)

    def __init__(
        self, *, queue_url: str, execution_arn: str | None = None, deferrable: bool | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault("poke_interval", 10)
        kwargs.setdefault("multiple_outputs", True)
        super().__init__(deferrable=deferrable, **kwargs)
        self.queue_url = queue_url
        self.execution_arn = execution_arn

    def check_arguments(self) -> None:
        """Refuse an execution that is none.

        :raises ArgumentError: naming the argument.
        """
        super().check_arguments()
        if self.execution_arn:
            parse_arguments(self, {"execution_arn": (parse_execution, "")})

    def observe(self, context: Context, hook: SageMakerPipelinesHook) -> Observation:
        """Receive a message, if there is one."""
        message = receive_callback(hook, self.queue_url, execution_arn=self.execution_arn or None)
        if message is None:
            return Observation(Verdict.WAIT, None, NO_MESSAGE)
        return Observation(Verdict.SUCCEED, message.to_json(), "")

    def poke(self, context: Context) -> PokeReturnValue | None:  # type: ignore[override]
        """Give the message that an earlier attempt has received, or receive one; None means: not yet."""
        from airflow.sdk import PokeReturnValue

        kept = TaskStateStore(context).load_callback() if context["ti"].try_number > 1 else None
        if kept is not None:
            self.log.info("An earlier attempt has received the message of %s.", kept.get("execution_arn"))
            return PokeReturnValue(is_done=True, xcom_value=kept)
        found = super().poke(context)
        if found is None:
            return None
        message = CallbackMessage(**found.xcom_value)  # type: ignore[arg-type]
        return PokeReturnValue(is_done=True, xcom_value=self._keep(context, message))

    def make_trigger(self, deadline: str) -> SageMakerPipelineCallbackTrigger:
        """The trigger that waits for a message."""
        from airflow_sm_pipelines.triggers.callback import SageMakerPipelineCallbackTrigger

        return SageMakerPipelineCallbackTrigger(
            queue_url=self.queue_url,
            execution_arn=self.execution_arn or None,
            waiter_delay=self.poke_interval,
            deadline=deadline,
            max_refused_seconds=float(self.max_refused_seconds),
            **self.hook_arguments.to_json(),
        )

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, deadline: str | None = None
    ) -> dict[str, Any]:
        """Go on after the deferral, with the message that the trigger has received.

        :param event: the trigger's event; None where Airflow lost it.
        :param deadline: of the deferral; the trigger has kept to it.
        """
        from airflow_sm_pipelines.airflow_names import AirflowSensorTimeout

        kind = (event or {}).get("kind")
        if event is None or kind == "timeout":
            self._seen = str((event or {}).get("seen") or NO_MESSAGE)
            raise AirflowSensorTimeout(self._tell_timeout())
        if kind != "message":
            with failing_fast():
                raise make_watch_error(event)
        fields = {name: event[name] for name in ("token", "execution_arn", "arguments", "receipt")}
        return self._keep(context, CallbackMessage(**fields))

    def _keep(self, context: Context, message: CallbackMessage) -> dict[str, Any]:
        """Store the message for a retry, then delete it from the queue."""
        found = {
            "token": seal_token(message.token),
            "execution_arn": message.execution_arn,
            "arguments": message.arguments,
        }
        TaskStateStore(context).save_callback(found)
        delete_callback(self.make_hook(), self.queue_url, message)
        self.log.info("A Callback step of %s waits for its answer.", message.execution_arn)
        return found
