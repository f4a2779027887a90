"""What all sensors share: the choice between poking and deferring, and the meaning of what a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.client.wait_policy import Verdict, parse_event
from airflow_sm_pipelines.exceptions import PipelineExecutionFailedError, PipelineUnavailableError
from airflow_sm_pipelines.operators.base import SageMakerPipelinesOperator, is_deferrable

if TYPE_CHECKING:
    from airflow.sdk import Context, PokeReturnValue

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.base import SageMakerDeferredTrigger


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check has found.

    :param verdict: what it means for the task.
    :param xcom: the task's XCom, if the task ends now.
    :param text: a line for the log; for a task that fails or skips, the reason.
    """

    verdict: Verdict
    xcom: dict[str, Any] | None
    text: str


class SageMakerPipelinesSensor(SageMakerPipelinesOperator, BaseSensorOperator):
    """A sensor on SageMaker Pipelines; a base for the others.

    :param deferrable: wait in the triggerer instead of in a worker; None for ``[operators] default_deferrable``. One
        watcher then serves the sensors of all tasks, every ``poke_interval`` seconds.
    """

    def __init__(self, *, deferrable: bool | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self._hook: SageMakerPipelinesHook | None = None

    def check_arguments(self) -> None:
        """Refuse arguments that can never be right.

        :raises ArgumentError: naming the argument.
        """

    def observe(self, context: Context, hook: SageMakerPipelinesHook) -> Observation:
        """Check once whether the wait is over."""
        raise NotImplementedError

    def make_trigger(self, deadline: str) -> SageMakerDeferredTrigger:
        """The trigger that waits for the same.

        :param deadline: ISO 8601 time at which the sensor's ``timeout`` is over.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Check once; then go on checking, or defer, until the wait is over."""
        with failing_fast():
            self.check_arguments()
        if not is_deferrable(self.deferrable):
            return super().execute(context)
        from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSkipException

        try:
            result = self.poke(context)
        except AirflowFailException as error:
            # What Airflow's own loop does for a sensor that pokes.
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(str(error)) from error
            raise
        return result.xcom_value if result else self.defer_until(self._deadline())

    @failing_fast()
    def poke(self, context: Context) -> PokeReturnValue | None:  # type: ignore[override]
        """Check once; None means: not yet."""
        from airflow.sdk import PokeReturnValue

        if self._hook is None:
            self._hook = self.make_hook()
        try:
            found = self.observe(context, self._hook)
        except PipelineUnavailableError as error:
            self._hook = None  # its credentials may have expired
            self.log.warning("%s Checking again.", error)
            return None
        if found.verdict is Verdict.WAIT:
            self.log.info("%s", found.text)
            return None
        if found.verdict is Verdict.SUCCEED:
            return PokeReturnValue(is_done=True, xcom_value=found.xcom)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=found.xcom)
        if found.verdict is Verdict.SKIP or self.soft_fail:
            # Airflow's own loop would skip as well, but not say why.
            from airflow_sm_pipelines.airflow_names import AirflowSkipException

            raise AirflowSkipException(found.text)
        raise PipelineExecutionFailedError(found.text, is_final=True)

    def defer_until(self, deadline: str) -> NoReturn:
        """Wait in the triggerer; the task goes on in ``execute_complete``."""
        self.defer(trigger=self.make_trigger(deadline), method_name="execute_complete", kwargs={"deadline": deadline})

    def execute_complete(
        self, context: Context, event: dict[str, Any] | None = None, deadline: str | None = None
    ) -> Any:
        """Go on after the deferral: check once more, since an event does not hold all that the task needs.

        :param event: the trigger's event; None where Airflow lost it.
        :param deadline: of the deferral; ``airflow dags test`` drops it.
        """
        from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSensorTimeout

        kind, payload = parse_event(event) if event is not None else ("ended", {})
        if kind == "error":
            raise AirflowFailException(str(payload["message"]))
        result = self.poke(context)
        if result:
            return result.xcom_value
        if kind == "timeout":
            raise AirflowSensorTimeout(self.timeout_text())
        return self.defer_until(deadline or self._deadline())

    def timeout_text(self) -> str:
        """The message of a task whose ``timeout`` is over."""
        return f"The wait was not over after {self.timeout:.0f} s."

    def _deadline(self) -> str:
        return (datetime.now(timezone.utc) + timedelta(seconds=self.timeout)).isoformat()


class SageMakerExecutionBaseSensor(SageMakerPipelinesSensor):
    """A sensor on one execution; a base for the others.

    :param execution_arn: the execution.
    """

    def __init__(self, *, execution_arn: str, **kwargs: Any) -> None:
        kwargs.setdefault("poke_interval", 30)
        super().__init__(**kwargs)
        self.execution_arn = execution_arn

    def timeout_text(self) -> str:
        """The message of a task whose ``timeout`` is over."""
        return f"{self.execution_arn} was not there after {self.timeout:.0f} s."

    def trigger_arguments(self, deadline: str) -> dict[str, Any]:
        """The arguments that all triggers on an execution take."""
        return {
            "execution_arn": self.execution_arn,
            "waiter_delay": self.poke_interval,
            "deadline": deadline,
            "stop_on_kill": False,
            **self.hook_arguments.to_json(),
        }
