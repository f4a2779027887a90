"""SageMaker's status changes that EventBridge puts into an SQS queue: reading and deleting the messages.

Source: developer guide, "Amazon SageMaker AI events in EventBridge" (events of pipeline executions and their steps). An
event may come late, twice, out of order, or not at all. So it only says which execution to look at; the status itself
is read from the API.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.answers import UNREADABLE_ANSWER
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.exceptions import PipelineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.client.calls import SageMakerCalls

_EXECUTION_CHANGE = "SageMaker Model Building Pipeline Execution Status Change"
_STEP_CHANGE = "SageMaker Model Building Pipeline Execution Step Status Change"
_MAX_WAIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class StatusChange:
    """One status change of an execution, or of one of its steps.

    :param status: the execution's, or the step's, new status in the service's words.
    :param step: the step; None for a change of the execution itself.
    :param event_id: EventBridge's, the same when it sends an event twice.
    """

    execution_arn: str
    status: str
    step: str | None = None
    event_id: str | None = None

    @property
    def is_end(self) -> bool:
        """Whether it says that the execution has ended."""
        if self.step is not None or self.status not in {status.value for status in ExecutionStatus}:
            return False
        return ExecutionStatus(self.status).is_terminal


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message that was received, and is hidden from other readers for a while.

    :param change: the status change; None for any other message.
    :param receipt: deletes the message.
    :param receives: how often it has been received, this time included.
    """

    change: StatusChange | None
    receipt: str
    receives: int = 1


def parse_change(body: str) -> StatusChange | None:
    """The status change in a message that EventBridge sent, directly or through SNS; None for other messages."""
    try:
        found = json.loads(body)
        if isinstance(found, dict) and found.get("Type") == "Notification":
            found = json.loads(found["Message"])
    except (ValueError, TypeError, KeyError):
        return None
    if not isinstance(found, dict) or found.get("source") != "aws.sagemaker":
        return None
    kind, detail = found.get("detail-type"), found.get("detail")
    if not isinstance(detail, dict):
        return None
    arn = detail.get("pipelineExecutionArn")
    if kind == _EXECUTION_CHANGE:
        status, step = detail.get("currentPipelineExecutionStatus"), None
    elif kind == _STEP_CHANGE:
        status, step = detail.get("currentStepStatus"), detail.get("stepName")
    else:
        return None
    if not isinstance(arn, str) or not isinstance(status, str):
        return None
    return StatusChange(arn, status, step, found.get("id"))


def find_queue_url(calls: SageMakerCalls, queue: str) -> str:
    """The URL of a queue that is given by its name, or by its URL."""
    if "://" in queue:
        return queue
    return str(calls.ask("get_queue_url", queue, service="sqs", required=("QueueUrl",), QueueName=queue)["QueueUrl"])


def receive_messages(
    calls: SageMakerCalls, queue_url: str, *, wait_seconds: int, hidden_seconds: int = 60
) -> list[dict[str, Any]]:
    """Up to ten messages as SQS gives them.

    :param wait_seconds: how long to wait for the first one.
    :param hidden_seconds: how long other readers do not see them.
    """
    sqs = calls.client_of("sqs")
    # The answer must come before the client's own timeout.
    longest = int(sqs.meta.config.read_timeout or 60) - 5
    answer = calls.ask(
        "receive_message",
        queue_url,
        service="sqs",
        is_repeatable=False,
        entries={"Messages": ("ReceiptHandle",)},
        QueueUrl=queue_url,
        MaxNumberOfMessages=10,
        WaitTimeSeconds=max(min(wait_seconds, _MAX_WAIT_SECONDS, longest), 0),
        VisibilityTimeout=hidden_seconds,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    return list(answer.get("Messages") or ())


def parse_queued(item: dict[str, Any]) -> QueuedMessage:
    """A message as SQS gives it."""
    receives = int((item.get("Attributes") or {}).get("ApproximateReceiveCount", 1))
    return QueuedMessage(parse_change(item.get("Body", "")), item["ReceiptHandle"], receives)


def delete_messages(calls: SageMakerCalls, queue_url: str, receipts: Sequence[str]) -> None:
    """Delete up to ten messages from their queue. A message that is not deleted comes again."""
    if receipts:
        entries = [{"Id": str(number), "ReceiptHandle": receipt} for number, receipt in enumerate(receipts)]
        _change(calls, "delete_message_batch", queue_url, entries)


def put_back(calls: SageMakerCalls, queue_url: str, receipts: Sequence[str]) -> None:
    """Show up to ten messages to other readers again, at once."""
    if receipts:
        entries = [
            {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
            for number, receipt in enumerate(receipts)
        ]
        _change(calls, "change_message_visibility_batch", queue_url, entries)


def _change(calls: SageMakerCalls, operation: str, queue_url: str, entries: list[dict[str, Any]]) -> None:
    """Change messages. The answer tells of each whether it was changed; one that was not comes again by itself."""
    answer = calls.ask(
        operation, queue_url, service="sqs", entries={"Successful": ("Id",)}, QueueUrl=queue_url, Entries=entries
    )
    told = [*(answer.get("Successful") or ()), *(answer.get("Failed") or ())]
    if len(told) < len(entries):
        raise PipelineUnavailableError(
            f"{operation} on '{queue_url}' tells of {len(told)} messages instead of {len(entries)}.",
            code=UNREADABLE_ANSWER,
        )
