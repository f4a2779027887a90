"""Lambda steps: they invoke the function with the step's arguments, and check its result for the declared outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.errors import Interrupted, StepError
from airflow_sm_pipelines.engine.rules.resolver import resolve, resolve_text, text_or_json
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.definition.steps import OutputParameter

_MAX_OUTPUT = 1024
MAX_SECONDS = 600
"""How long a Lambda step waits for its function, whatever the function's own limit (developer guide: 10 minutes)."""
OVERRAN = "$overran"
"""The property of a step whose function ran out of time while the execution was being stopped."""


class LambdaExecutor:
    """Performs a Lambda step. A stop lets the function finish, as the service does."""

    is_instant = False

    def prepare(self, task: StepTask) -> tuple[str, JsonValue]:
        """The function's ARN and the event."""
        arn = resolve_text(task.step.attributes.get("FunctionArn") or "", task.scope)
        return arn, resolve(task.step.arguments, task.scope)

    def run(self, task: StepTask, prepared: tuple[str, JsonValue]) -> StepOutcome:
        """Invoke the function."""
        arn, event = prepared
        if task.stop.is_set():
            return StepOutcome(status=StepStatus.STOPPED)
        spec = task.services.find_function(arn)
        if spec is None:
            raise StepError(f"ClientError: Function not found: {arn}")
        metadata: JsonObject = {"Lambda": {"Arn": arn}}
        task.mark_executing(metadata=metadata)
        context = task.services.job_context(f"/aws/lambda/{spec.name}")
        spec = replace(spec, timeout_seconds=min(spec.timeout_seconds, MAX_SECONDS))
        outcome = task.services.run_function(spec, event, context, task.shutdown)
        if task.shutdown.is_set() and outcome.status != "Completed":
            raise Interrupted
        if outcome.status != "Completed":
            reason = f"ClientError: Lambda function {arn} failed: {outcome.error or outcome.status}"
            if task.stop.is_set() and outcome.is_timed_out:
                # Documented for StopPipelineExecution: the whole execution is Failed then.
                return StepOutcome(status=StepStatus.FAILED, failure_reason=reason, properties={OVERRAN: True})
            raise StepError(reason)
        if task.stop.is_set():
            return StepOutcome(status=StepStatus.STOPPED)
        shown, typed = read_outputs(outcome.result, task.step.output_parameters)
        return StepOutcome(
            metadata={"Lambda": {"Arn": arn, "OutputParameters": shown}} if shown else metadata,
            properties={"OutputParameters": typed},
        )


def read_outputs(result: JsonValue, declared: tuple[OutputParameter, ...]) -> tuple[list[JsonValue], list[JsonValue]]:
    """The declared outputs in the result of a function.

    :return: the outputs as the metadata show them (texts), and as expressions see them (typed).
    :raises StepError: one is missing, of another type, or longer than 1024 characters.
    """
    if not declared:
        return [], []
    if not isinstance(result, dict):
        raise StepError(
            f"ClientError: The function must return an object with {len(declared)} outputs, found {result!r:.100}."
        )
    shown: list[JsonValue] = []
    typed: list[JsonValue] = []
    for output in declared:
        if output.name not in result:
            raise StepError(f"ClientError: The function's result has no output '{output.name}'.")
        value = _typed(output, result[output.name])
        text = text_or_json(value)
        if len(text) > _MAX_OUTPUT:
            raise StepError(
                f"ClientError: Output '{output.name}' has {len(text)} characters; at most {_MAX_OUTPUT} are allowed."
            )
        shown.append({"Name": output.name, "Value": text})
        typed.append({"Name": output.name, "Value": value})
    return shown, typed


def _typed(output: OutputParameter, value: JsonValue) -> JsonValue:
    fits = {
        "String": True,
        "Integer": isinstance(value, int) and not isinstance(value, bool),
        "Float": isinstance(value, (int, float)) and not isinstance(value, bool),
        "Boolean": isinstance(value, bool),
    }
    if not fits.get(output.type, True):
        raise StepError(
            f"ClientError: Output '{output.name}' is declared {output.type}, the function gave {value!r:.100}."
        )
    if output.type == "Float" and isinstance(value, int):
        return float(value)
    if output.type != "String" or isinstance(value, str):
        return value
    # Recorded answers: 200 in a String output reads "200.0", an object is JSON text.
    if isinstance(value, int) and not isinstance(value, bool):
        return str(float(value))
    return text_or_json(value)
