"""What all sensors share: the choice between poking and deferring, and the meaning of what a check finds."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk import BaseSensorOperator

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.airflow_task.task_state_store import TaskStateStore
from airflow_sm_pipelines.client.api_errors import needs_new_client
from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.client.wait_policy import (
    RefusedLooks,
    Verdict,
    format_duration,
    parse_event,
)
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineExecutionFailedError
from airflow_sm_pipelines.operators.base import SageMakerPipelinesOperator, is_deferrable
from airflow_sm_pipelines.option_reader import parse_arguments, parse_execution, parse_seconds
from airflow_sm_pipelines.runs.results import make_watch_error

if TYPE_CHECKING:
    from airflow.sdk import Context, PokeReturnValue

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.base import SageMakerDeferredTrigger


WAIT_TEMPLATE_FIELDS = ("deferrable", "max_refused_seconds")
"""The template fields of the arguments that all sensors take."""


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
    :param max_refused_seconds: give up when each check has been refused for so long: by throttling, expired credentials
        or a wrong clock, or by a denied access after checks that were answered.
    """

    def __init__(
        self,
        *,
        deferrable: bool | None = None,
        max_refused_seconds: float = MAX_REFUSED_SECONDS,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        self.max_refused_seconds = max_refused_seconds
        self._hook: SageMakerPipelinesHook | None = None
        self._refused: RefusedLooks | None = None
        self._seen = "nothing"
        self._is_waiting = False

    def check_arguments(self) -> None:
        """Refuse arguments that can never be right.

        :raises ArgumentError: naming the argument.
        """
        parse_arguments(self, {"max_refused_seconds": (parse_seconds, MAX_REFUSED_SECONDS)})

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
        from airflow_sm_pipelines.airflow_names import AirflowFailException, AirflowSensorTimeout, AirflowSkipException

        with failing_fast():
            self.check_arguments()
            is_deferred = is_deferrable(self.deferrable)
        if not is_deferred:
            try:
                return super().execute(context)
            except (AirflowSensorTimeout, AirflowSkipException) as error:
                if self._is_waiting:  # the last check did not end the task, so its time is over
                    raise type(error)(self._tell_timeout()) from error
                raise
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

        self._is_waiting = False
        found = self._look(context)
        self._is_waiting = found is None or found.verdict is Verdict.WAIT
        if found is None:
            return None
        is_over = found.verdict is Verdict.SUCCEED
        if (is_over or self._is_waiting) and found.text:
            self._seen = found.text
            self.log.info("%s", found.text)
        if self._is_waiting:
            return None
        if is_over:
            return PokeReturnValue(is_done=True, xcom_value=found.xcom)
        if self.do_xcom_push:
            context["ti"].xcom_push(key="return_value", value=found.xcom)
        if found.verdict is Verdict.SKIP or self.soft_fail:
            # Airflow itself would not say why.
            from airflow_sm_pipelines.airflow_names import AirflowSkipException

            self.log.warning("Skipped: %s", found.text)
            raise AirflowSkipException(found.text)
        raise PipelineExecutionFailedError(found.text, is_final=True)

    def _look(self, context: Context) -> Observation | None:
        """What one check finds; None where it was refused, and that is borne."""
        if self._hook is None:
            self._hook = self.make_hook()
        refused = self._load_refused(context)
        before, found = replace(refused), None
        try:
            found = self.observe(context, self._hook)
            refused.record_answer()
        except PipelineApiError as error:
            self._bear(error, refused)
        if self.reschedule and refused != before:
            TaskStateStore(context).save_refused_looks({"since": refused.since, "was_answered": refused.was_answered})
        return found

    def _load_refused(self, context: Context) -> RefusedLooks:
        """The refusals until now; a sensor that is rescheduled makes each check in another process."""
        if self._refused is None:
            kept = TaskStateStore(context).load_refused_looks() if self.reschedule else None
            self._refused = RefusedLooks(float(self.max_refused_seconds), **(kept or {}))
        return self._refused

    def _bear(self, error: PipelineApiError, refused: RefusedLooks) -> None:
        """Go on after a refused check, or raise its error."""
        if not refused.can_pass(error):
            raise error
        reason = refused.record_refusal(error, now=time.time())
        if reason is not None:
            raise type(error)(reason, code=error.code) from error
        if needs_new_client(error):
            self._hook = None
        self._seen = str(error)
        self.log.warning("%s Checking again.", error)

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
        from airflow_sm_pipelines.airflow_names import AirflowSensorTimeout

        kind, payload = parse_event(event) if event is not None else ("ended", {})
        with failing_fast():
            self.check_arguments()
            if kind == "error":
                raise make_watch_error(payload)
        result = self.poke(context)
        if result:
            return result.xcom_value
        if kind == "timeout":
            raise AirflowSensorTimeout(self._tell_timeout())
        return self.defer_until(deadline or self._deadline())

    def timeout_text(self) -> str:
        """The message of a task whose ``timeout`` is over: what it last saw."""
        return f"The wait was not over after {format_duration(self.timeout)}. Last seen: {self._seen}"

    def _tell_timeout(self) -> str:
        """The same, also written to the log: of a task that skips softly, Airflow shows no message."""
        text = self.timeout_text()
        self.log.warning("%s", text)
        return text

    def _deadline(self) -> str:
        return (datetime.now(timezone.utc) + timedelta(seconds=self.timeout)).isoformat()


class SageMakerExecutionBaseSensor(SageMakerPipelinesSensor):
    """A sensor on one execution; a base for the others.

    :param execution_arn: the execution: its ARN, or what the run operator returns.
    """

    def __init__(self, *, execution_arn: str, **kwargs: Any) -> None:
        kwargs.setdefault("poke_interval", 30)
        super().__init__(**kwargs)
        self.execution_arn = execution_arn

    def check_arguments(self) -> None:
        """Refuse an execution that is none.

        :raises ArgumentError: naming the argument.
        """
        super().check_arguments()
        parse_arguments(self, {"execution_arn": (parse_execution, "")})

    def trigger_arguments(self, deadline: str) -> dict[str, Any]:
        """The arguments that all triggers on an execution take."""
        return {
            "execution_arn": self.execution_arn,
            "waiter_delay": self.poke_interval,
            "deadline": deadline,
            "max_refused_seconds": float(self.max_refused_seconds),
            "stop_on_kill": False,
            **self.hook_arguments.to_json(),
        }
