"""The operator whose task is a Callback step that a person answers in Airflow's UI.

:class:`~airflow_sm_pipelines.task_groups.pipeline_steps.SageMakerPipelineTaskGroup` makes these tasks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.retry_mapping import failing_fast
from airflow_sm_pipelines.operators.mirror_step import SageMakerMirrorStepOperator

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

FAILURE_REASON = "Rejected in Airflow"


class SageMakerAskStepOperator(SageMakerMirrorStepOperator):
    """Mirror a Callback step, and answer its token with what a person chooses under *Required Actions*.

    *Approve* ends the step with success; its outputs are the fields of the form. *Reject* ends it with failure. The
    task then ends as the step does. A worker begins it, asks, and sends the answer; the task is deferred meanwhile.

    **XComs.** Those of :class:`SageMakerMirrorStepOperator`.

    :param subject: the headline of the question; the step's name in a sentence where not given.
    :param body: the text below it, in Markdown.
    :param assigned_users: who may answer, each with ``id`` and ``name``; None for everybody who may answer questions.
    :param failure_reason: the reason of a step that was rejected.
    :param kwargs: those of :class:`SageMakerMirrorStepOperator`.
    """

    custom_operator_name = "SM human step"
    template_fields: Sequence[str] = ("subject", "body", "failure_reason")
    needs_worker = True

    def __init__(
        self,
        *,
        subject: str | None = None,
        body: str | None = None,
        assigned_users: Sequence[Mapping[str, str]] | None = None,
        failure_reason: str = FAILURE_REASON,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.subject = subject or f"Shall step {self.step_name} of the pipeline succeed?"
        self.body = body
        self.assigned_users = assigned_users
        self.failure_reason = failure_reason

    @failing_fast()
    def execute(self, context: Context) -> None:
        """Find the execution, repaired if the task was cleared, and defer until the step waits for its answer."""
        from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger

        found = self._find_execution(context["ti"])
        self.defer(
            trigger=SageMakerMirroredStepTrigger(mirrored=found, until_asked=True, **self.trigger_arguments()),
            method_name="execute_complete",
        )

    @failing_fast()
    def execute_complete(self, context: Context, event: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        """Ask a person, send the answer, or end as the step has ended."""
        if event is not None and event.get("kind") == "asked":
            self._ask(context, event)  # defers
        if event is not None and "chosen_options" in event:
            self._answer(context, event)  # defers
        return super().execute_complete(context, event)

    def _ask(self, context: Context, event: Mapping[str, Any]) -> None:
        from airflow_sm_pipelines.airflow_task.human_question import ask_person
        from airflow_sm_pipelines.airflow_task.stop_on_kill import is_dags_test
        from airflow_sm_pipelines.definition import inspect_definition
        from airflow_sm_pipelines.triggers.asked_step import SageMakerAskedStepTrigger

        ti = context["ti"]
        self.publish_links(ti, event["links"])
        definition = inspect_definition(self.make_hook().describe_execution_definition(event["mirrored"]["arn"]))[0]
        steps = [] if definition is None else [one for one in definition.iter_steps() if one.name == self.step_name]
        outputs = [one for step in steps for one in step.output_parameters]
        if is_dags_test():
            self.log.warning("`airflow dags test` shows nobody a question: answer the step's token by other means.")
            super().execute(context)
        ask_person(ti, subject=self.subject, body=self.body, outputs=outputs, assigned_users=self.assigned_users)
        self.log.info("Waiting for an answer under Required Actions: %s", self.subject)
        self.defer(
            trigger=SageMakerAskedStepTrigger(ti_id=str(ti.id), mirrored=event["mirrored"], **self.trigger_arguments()),
            method_name="execute_complete",
        )

    def _answer(self, context: Context, event: Mapping[str, Any]) -> None:
        """Send the answer, and defer until the step has ended.

        The token is read from the service now: so nothing that Airflow keeps has ever held it.
        """
        from airflow_sm_pipelines.airflow_task.human_question import APPROVE
        from airflow_sm_pipelines.client.callbacks import find_callback, send_failure, send_success
        from airflow_sm_pipelines.triggers.mirrored_step import SageMakerMirroredStepTrigger

        found = self._find_execution(context["ti"])
        hook = self.make_hook()
        callback = find_callback(hook.describe_report(found["arn"]).latest_step(self.step_name))
        who = (event.get("responded_by_user") or {}).get("name") or "somebody"
        is_success = list(event["chosen_options"]) == [APPROVE]
        if callback is None:
            self.log.warning("The step waits for no answer any more; that of %s comes too late.", who)
        elif is_success:
            outputs = {name: value for name, value in event["params_input"].items() if value is not None}
            send_success(hook, str(callback["CallbackToken"]), outputs)
        else:
            send_failure(hook, str(callback["CallbackToken"]), self.failure_reason)
        self.log.info("%s has answered: %s", who, ", ".join(event["chosen_options"]))
        self.defer(
            trigger=SageMakerMirroredStepTrigger(mirrored=found, **self.trigger_arguments()),
            method_name="execute_complete",
        )
