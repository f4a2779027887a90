"""The operations by which the receiver of a Callback step's message ends the step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.operations.context import OperationContext, Request, Response, perform_once
from airflow_sm_pipelines.engine.rules.errors import not_found, validation_error
from airflow_sm_pipelines.engine.steps import StepOutcome
from airflow_sm_pipelines.engine.steps.callback import outcome_of_success

if TYPE_CHECKING:
    from airflow_sm_pipelines.engine.store import ExecutionRecord, StepRecord


def send_step_success(context: OperationContext, request: Request) -> Response:
    """SendPipelineExecutionStepSuccess."""

    def perform() -> Response:
        step, execution = _require_waiting(context, request["CallbackToken"])
        version = context.store.pipelines.find_version(execution.pipeline, execution.version)
        if version is None:
            raise not_found(f"Version {execution.version} of pipeline '{execution.pipeline}' does not exist.")
        declared = context.definitions.load(version).declared_step(step.name, parent=step.parent)
        outcome = outcome_of_success(step, declared.output_parameters, request.get("OutputParameters") or [])
        context.runner.end_step(execution.id, step.name, outcome)
        return {"PipelineExecutionArn": execution.arn}

    return perform_once(context, "SendPipelineExecutionStepSuccess", request, perform)


def send_step_failure(context: OperationContext, request: Request) -> Response:
    """SendPipelineExecutionStepFailure."""

    def perform() -> Response:
        step, execution = _require_waiting(context, request["CallbackToken"])
        reason = request.get("FailureReason") or "The callback reported a failure without a reason."
        context.runner.end_step(
            execution.id, step.name, StepOutcome(status=StepStatus.FAILED, failure_reason=reason, properties={})
        )
        return {"PipelineExecutionArn": execution.arn}

    return perform_once(context, "SendPipelineExecutionStepFailure", request, perform)


def _require_waiting(context: OperationContext, token: str) -> tuple[StepRecord, ExecutionRecord]:
    step = context.store.steps.find_callback(token)
    execution = context.store.executions.find(step.execution_id) if step is not None else None
    if step is None or execution is None:
        raise not_found(f"Callback token '{token}' does not belong to a Callback step.")
    if step.status.is_terminal:
        raise validation_error(
            f"Step '{step.name}' of {execution.arn} is in status '{step.status}': it no longer waits for its callback."
        )
    return step, execution
