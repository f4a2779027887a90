"""Callback steps: their messages in an SQS queue, and the answers that end them.

Source: developer guide, "Callback step". A message carries the token, the execution's ARN and the step's arguments.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.api_errors import mapped_errors
from airflow_sm_pipelines.client.request_tokens import make_token

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls


@dataclass(frozen=True, slots=True)
class CallbackMessage:
    """What a Callback step asks.

    :param token: what ends the step; whoever has it may.
    :param arguments: the step's arguments, resolved.
    :param receipt: what deletes the message from its queue, for as long as nobody else receives it.
    """

    token: str
    execution_arn: str
    arguments: Any
    receipt: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The message as JSON, for events."""
        return asdict(self)


def parse_message(body: str, receipt: str | None) -> CallbackMessage | None:
    """The message in a queue's text; None for one that is not of a Callback step that waits.

    SageMaker also sends a message with the status ``Stopping``, for a step that is to stop.
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


def receive_callback(
    calls: SageMakerCalls, queue_url: str, *, execution_arn: str | None, visibility_seconds: int = 120
) -> CallbackMessage | None:
    """The next callback message, hidden from others for a while but not deleted; None if there is none.

    Messages that are not meant are put back at once.

    :param execution_arn: only of this execution; None takes any.
    """
    sqs = calls.client_of("sqs")
    with mapped_errors("ReceiveMessage", queue_url):
        answer = sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=visibility_seconds, WaitTimeSeconds=1
        )
    chosen = None
    for item in answer.get("Messages") or ():
        message = parse_message(item["Body"], item["ReceiptHandle"])
        if chosen is None and message is not None and execution_arn in (None, message.execution_arn):
            chosen = message
            continue
        with mapped_errors("ChangeMessageVisibility", queue_url):
            sqs.change_message_visibility(QueueUrl=queue_url, ReceiptHandle=item["ReceiptHandle"], VisibilityTimeout=0)
    return chosen


def delete_callback(calls: SageMakerCalls, queue_url: str, message: CallbackMessage) -> None:
    """Take a message from its queue for good."""
    if message.receipt is not None:
        with mapped_errors("DeleteMessage", queue_url):
            calls.client_of("sqs").delete_message(QueueUrl=queue_url, ReceiptHandle=message.receipt)


def send_success(calls: SageMakerCalls, token: str, outputs: Mapping[str, Any]) -> str:
    """End a Callback step well; the same answer again changes nothing. Gives the execution's ARN.

    :param outputs: its declared outputs; numbers and truth values as the API writes them, objects as JSON.
    """
    listed = [{"Name": name, "Value": _text(value)} for name, value in outputs.items()]
    request: dict[str, Any] = {"CallbackToken": token, "ClientRequestToken": make_token("success", token)}
    if listed:
        request["OutputParameters"] = listed
    with mapped_errors("SendPipelineExecutionStepSuccess", "the step of a callback token"):
        return str(calls.conn.send_pipeline_execution_step_success(**request)["PipelineExecutionArn"])


def send_failure(calls: SageMakerCalls, token: str, reason: str) -> str:
    """End a Callback step as failed; the same answer again changes nothing. Gives the execution's ARN."""
    with mapped_errors("SendPipelineExecutionStepFailure", "the step of a callback token"):
        answer = calls.conn.send_pipeline_execution_step_failure(
            CallbackToken=token, FailureReason=reason[:256], ClientRequestToken=make_token("failure", token)
        )
    return str(answer["PipelineExecutionArn"])


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
