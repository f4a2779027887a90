"""Callback steps: their messages in an SQS queue, and the answers that end them.

Source: developer guide, "Callback step". A message carries the token, the execution's ARN and the step's arguments.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.request_tokens import make_token
from airflow_sm_pipelines.client.status_events import delete_messages, put_back
from airflow_sm_pipelines.option_reader import PARAMETER_MEMBERS, parse_named_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import StepReport


@dataclass(frozen=True, slots=True)
class CallbackMessage:
    """The message of one Callback step that waits for an answer.

    :param token: ends the step; anybody who has it can.
    :param arguments: the step's arguments, resolved.
    :param receipt: deletes the message from its queue, as long as nobody else receives it.
    """

    token: str
    execution_arn: str
    arguments: Any
    receipt: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The message as JSON, for events."""
        return asdict(self)


def parse_message(body: str, receipt: str | None) -> CallbackMessage | None:
    """The message in a queue's text; None for any text that is not from a waiting Callback step.

    SageMaker also sends a message with the status ``Stopping`` when a step is to stop.
    """
    try:
        found = json.loads(body)
    except ValueError:
        return None
    if not isinstance(found, dict) or found.get("status", "Executing") != "Executing":
        return None
    token, arn = found.get("token"), found.get("pipelineExecutionArn")
    if not isinstance(token, str) or not isinstance(arn, str):
        return None
    return CallbackMessage(token, arn, found.get("arguments"), receipt)


def find_callback(step: StepReport | None) -> Mapping[str, Any] | None:
    """What a Callback step that waits for its answer says of itself: ``CallbackToken`` and ``SqsQueueUrl``.

    :return: None for a step that waits for no answer.
    """
    if step is None or step.is_terminal:
        return None
    found = (step.metadata or {}).get("Callback")
    return found if isinstance(found, dict) and found.get("CallbackToken") else None


def receive_callback(
    calls: SageMakerCalls, queue_url: str, *, execution_arn: str | None, visibility_seconds: int = 120
) -> CallbackMessage | None:
    """The next callback message, hidden from other readers for a while but not deleted; None if there is none.

    Messages of other executions are put back at once.

    :param execution_arn: take only this execution's messages; None takes any.
    """
    answer = calls.ask(
        "receive_message",
        queue_url,
        service="sqs",
        is_repeatable=False,
        entries={"Messages": ("Body", "ReceiptHandle")},
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        VisibilityTimeout=visibility_seconds,
        WaitTimeSeconds=1,
    )
    chosen, others = None, []
    for item in answer.get("Messages") or ():
        message = parse_message(item["Body"], item["ReceiptHandle"])
        if chosen is None and message is not None and execution_arn in (None, message.execution_arn):
            chosen = message
            continue
        others.append(item["ReceiptHandle"])
    put_back(calls, queue_url, others)
    return chosen


def delete_callback(calls: SageMakerCalls, queue_url: str, message: CallbackMessage) -> None:
    """Delete a message from its queue."""
    if message.receipt is not None:
        delete_messages(calls, queue_url, [message.receipt])


def send_success(calls: SageMakerCalls, token: str, outputs: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> str:
    """End a Callback step as succeeded. Sending the same answer again changes nothing.

    :param outputs: the declared outputs by name, or as the API's list of ``{"Name": ..., "Value": ...}``; what is
        not text is sent as JSON.
    :return: the execution's ARN.
    """
    named = parse_named_values("outputs", outputs, members=PARAMETER_MEMBERS)
    listed = [{"Name": name, "Value": _text(value)} for name, value in named.items()]
    request: dict[str, Any] = {"CallbackToken": token, "ClientRequestToken": make_token("success", token)}
    if listed:
        request["OutputParameters"] = listed
    return _send(calls, "send_pipeline_execution_step_success", request)


def send_failure(calls: SageMakerCalls, token: str, reason: str) -> str:
    """End a Callback step as failed, and give the execution's ARN. Sending the same answer again changes nothing."""
    request = {
        "CallbackToken": token,
        "FailureReason": reason[:256],
        "ClientRequestToken": make_token("failure", token),
    }
    return _send(calls, "send_pipeline_execution_step_failure", request)


def _send(calls: SageMakerCalls, operation: str, request: Mapping[str, Any]) -> str:
    answer = calls.ask(operation, "the step of a callback token", required=("PipelineExecutionArn",), **request)
    return str(answer["PipelineExecutionArn"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
