"""What the sensors share: the connection, the choice between poking and deferring, and what faults mean."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.wait_policy import Verdict, parse_event
from airflow_sm_pipelines.exceptions import ArgumentError, PipelineExecutionFailedError, PipelineUnavailableError
from airflow_sm_pipelines.operators.base import AWS_TEMPLATE_FIELDS, SageMakerPipelinesOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context, PokeReturnValue

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.execution import SageMakerPipelineExecutionTrigger


class SageMakerPipelinesSensor(SageMakerPipelinesOperator, BaseSensorOperator):
    """A sensor on one execution; a base for the others.

    :param execution_arn: the execution to look at.
    :param deferrable: wait in the triggerer instead of in a worker; None for ``[operators] default_deferrable``. The
        looks are then ``poke_interval`` apart, and one watcher makes them for all tasks.
    """

    template_fields: Sequence[str] = ("execution_arn", *AWS_TEMPLATE_FIELDS)
    ui_color = "#e8f3ef"

    def __init__(self, *, execution_arn: str, deferrable: bool | None = None, **kwargs: Any) -> None:
        """Hold the arguments; they are checked when the task runs."""
        kwargs.setdefault("poke_interval", 30)
        super().__init__(**kwargs)
        self.execution_arn = execution_arn
        self.deferrable = deferrable
        self._hook: SageMakerPipelinesHook | None = None

    def look(self, hook: SageMakerPipelinesHook) -> tuple[Verdict, dict[str, Any], str]:
        """Look once: what to do, the XCom, and the text for a task that fails or skips."""
        raise NotImplementedError

    def make_trigger(self, deadline: str | None) -> SageMakerPipelineExecutionTrigger:
        """The trigger that waits for the same as :meth:`look`."""
        raise NotImplementedError

    def check_arguments(self) -> None:
        """Refuse arguments that can never be right.

        :raises ValueError: naming the argument.
        """

    @failing_fast()
    def execute(self, context: Context) -> Any:
        """Look once; go on looking, or defer, until there is an end."""
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSkipException

        try:
            self.check_arguments()
        except ValueError as error:
            raise ArgumentError(str(error)) from error
        if not self._is_deferrable():
            return super().execute(context)
        try:
            result = self.poke(context)
        except AirflowFailException as error:
            # What Airflow's own loop does for a sensor that pokes.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        if result:
            return result.xcom_value
        self._defer((datetime.now(timezone.utc) + timedelta(seconds=self.timeout)).isoformat())
        return None

    @failing_fast()
    def poke(self, context: Context) -> PokeReturnValue | None:  # type: ignore[override]
        """Look once; None means: not yet."""
        from airflow.sdk import PokeReturnValue

        if self._hook is None:
            self._hook = self.make_hook()
        try:
            verdict, found, text = self.look(self._hook)
        except PipelineUnavailableError as error:
            self._hook = None  # its credentials may have expired
            self.log.warning("%s Looking again.", error)
            return None
        if verdict is Verdict.WAIT:
            self.log.info("%s", text)
            return None
        if verdict is Verdict.SUCCEED:
            return PokeReturnValue(is_done=True, xcom_value=found)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=found)
        if verdict is Verdict.SKIP or self.soft_fail:
            # Airflow's own loop would skip as well, but not say why.
            from airflow.providers.common.compat.sdk import AirflowSkipException

            raise AirflowSkipException(text)
        raise PipelineExecutionFailedError(text, is_final=True)

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, deadline: str | None = None
    ) -> Any:
        """Go on after the deferral: look once more, since that alone tells the whole story."""
        from airflow.providers.common.compat.sdk import AirflowFailException, AirflowSensorTimeout

        kind, payload = parse_event(event) if event is not None else ("ended", {})
        if kind == "error":
            raise AirflowFailException(str(payload["message"]))
        result = self.poke(context)
        if result:
            return result.xcom_value
        if kind == "timeout":
            raise AirflowSensorTimeout(f"{self.execution_arn} was not there after {self.timeout:.0f} s.")
        deadline = deadline or (datetime.now(timezone.utc) + timedelta(seconds=self.timeout)).isoformat()
        self._defer(deadline)
        return None

    def _defer(self, deadline: str) -> None:
        self.defer(trigger=self.make_trigger(deadline), method_name="execute_complete", kwargs={"deadline": deadline})

    def trigger_arguments(self, deadline: str | None) -> dict[str, Any]:
        """What every trigger of a sensor takes."""
        return {
            "execution_arn": self.execution_arn,
            "waiter_delay": self.poke_interval,
            "deadline": deadline,
            "stop_on_kill": False,
            "aws_conn_id": self.aws_conn_id,
            "region_name": self.region_name,
            "verify": self.verify,
            "botocore_config": None if self.botocore_config is None else dict(self.botocore_config),
        }

    def _is_deferrable(self) -> bool:
        if self.deferrable is not None:
            return self.deferrable
        from airflow.providers.common.compat.sdk import conf

        return bool(conf.getboolean("operators", "default_deferrable", fallback=False))
