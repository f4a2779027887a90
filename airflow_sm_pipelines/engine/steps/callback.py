"""Callback steps: they send a message to a queue, and wait until somebody sends the token back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.errors import StepError, validation_error
from airflow_sm_pipelines.engine.rules.resolver import resolve, resolve_text
from airflow_sm_pipelines.engine.rules.resource_names import JOB_SUFFIX_ALPHABET
from airflow_sm_pipelines.engine.steps.lambda_function import read_outputs
from airflow_sm_pipelines.engine.steps.task import StepOutcome, StepTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.definition.steps import OutputParameter
    from airflow_sm_pipelines.engine.services import EngineServices
    from airflow_sm_pipelines.engine.store import ExecutionRecord, StepRecord, Store

_MAX_URL = 256
CallbackStatus = Literal["Executing", "Stopping"]
TOKEN_LENGTH = 10
"""Source: the API's CallbackToken: ten letters and digits."""


class CallbackExecutor:
    """Sends the message of a Callback step; SendPipelineExecutionStepSuccess or -Failure ends the step."""

    is_instant = False

    def prepare(self, task: StepTask) -> tuple[str, JsonValue]:
        """The queue's URL and the arguments."""
        url = resolve_text(task.step.attributes.get("SqsQueueUrl") or "", task.scope)
        if len(url) > _MAX_URL:
            raise StepError(
                f"ClientError: SqsQueueUrl has {len(url)} characters; a queue's URL has at most {_MAX_URL}."
            )
        return url, resolve(task.step.arguments, task.scope)

    def run(self, task: StepTask, prepared: tuple[str, JsonValue]) -> StepOutcome | None:
        """Send the message. A step that begins again after a crash keeps its token."""
        url, arguments = prepared
        record = task.store.steps.find(task.execution_id, task.step.name)
        token = record.callback_token if record is not None else None
        token = token or task.services.new_id(TOKEN_LENGTH, JOB_SUFFIX_ALPHABET)
        status = task.mark_executing(
            metadata={"Callback": {"CallbackToken": token, "SqsQueueUrl": url}},
            properties={"$arguments": arguments, "$queue": url},
            callback_token=token,
        )
        if status is StepStatus.STOPPING:
            # It was stopped before anybody was told, so there is nobody to wait for.
            return StepOutcome(status=StepStatus.STOPPED)
        execution = task.store.executions.find(task.execution_id)
        current = task.store.steps.find(task.execution_id, task.step.name)
        if execution is not None and current is not None:
            send_callback_message(task.store, task.services, execution, current, status="Executing")
        return None


def send_callback_message(
    store: Store, services: EngineServices, execution: ExecutionRecord, step: StepRecord, *, status: CallbackStatus
) -> None:
    """Send the message of a Callback step, and record that it was sent.

    Source of its fields: developer guide, "Callback step".

    :param status: ``Executing`` when the step begins, ``Stopping`` when it is to stop.
    :raises StepError: the queue takes no message.
    """
    known: Mapping[str, Any] = step.properties or {}
    body = {
        "token": step.callback_token,
        "pipelineExecutionArn": execution.arn,
        "arguments": known.get("$arguments"),
        "status": status,
    }
    fault = services.send_message(str(known.get("$queue", "")), json.dumps(body))
    if fault:
        raise StepError(f"ClientError: The message to {known.get('$queue')} could not be sent: {fault}")
    store.steps.update(execution.id, step.name, callback_sent=status)


def outcome_of_success(
    step: StepRecord, declared: tuple[OutputParameter, ...], given: Sequence[Mapping[str, Any]]
) -> StepOutcome:
    """The outcome of a Callback step for which success was sent.

    :param given: the ``OutputParameters`` of the request.
    :raises ServiceError: ValidationException: these are not the declared outputs. The step then still waits.
    """
    result: JsonObject = {str(output["Name"]): output["Value"] for output in given}
    unknown = sorted(set(result) - {output.name for output in declared})
    if unknown:
        raise validation_error(f"The Callback step '{step.name}' declares no output {', '.join(map(repr, unknown))}.")
    for output in declared:
        if output.name in result:
            result[output.name] = _parse(output, str(result[output.name]))
    try:
        shown, typed = read_outputs(result, declared)
    except StepError as error:
        raise validation_error(
            str(error).removeprefix("ClientError: ").replace("The function's result", "The request")
        ) from error
    callback = dict(step.metadata["Callback"]) if isinstance(step.metadata.get("Callback"), dict) else {}  # type: ignore[arg-type]
    metadata: JsonObject = {"Callback": {**callback, "OutputParameters": shown} if shown else callback}
    # As with a Lambda function, a step that ends well while the execution stops is Stopped.
    is_stopping = step.status is StepStatus.STOPPING
    return StepOutcome(
        status=StepStatus.STOPPED if is_stopping else StepStatus.SUCCEEDED,
        metadata=metadata,
        properties={"OutputParameters": typed},
    )


def _parse(output: OutputParameter, text: str) -> JsonValue:
    """The value that a text stands for: the API carries all outputs as texts."""
    try:
        if output.type == "Integer":
            return int(text)
        if output.type == "Float":
            return float(text)
    except ValueError:
        return text
    if output.type == "Boolean":
        return {"true": True, "false": False}.get(text.lower(), text)
    return text
