"""Triggers of ``AssetWatcher``: they start a DAG when a Callback step asks, or when an execution has ended.

In a task of that DAG, :func:`pipeline_events` gives the events. DAG files name these triggers, so their methods import
what only a triggerer needs.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_sm_pipelines.triggers.base import SageMakerPipelinesTrigger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable, Mapping, Sequence

    from airflow_sm_pipelines.hooks.sagemaker_pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.triggers.queue_stream import QueueReader

_MAX_RECEIVES = 10

LEAVE: dict[str, Any] = {}
"""The payload that stands for a message that stays in the queue."""


class SageMakerQueueEventTrigger(SageMakerPipelinesTrigger, BaseEventTrigger):
    """Fires an event for each message of a queue; a base for the others.

    :param queue: the queue's name or URL. No other trigger and no sensor may read it.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(self, *, queue: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.queue = queue

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {"queue": self.queue}

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """The payload of a message's event, with an ``id``; :data:`LEAVE` leaves the message there, None deletes it."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fire an event for each message, without an end."""
        from airflow_sm_pipelines.triggers.queue_stream import STORED_AFTER_SECONDS

        async def settle_later(receipt: str) -> None:
            await asyncio.sleep(STORED_AFTER_SECONDS)
            await reader.settle([receipt])

        reader = self.make_reader()
        settling: set[asyncio.Task[None]] = set()
        try:
            async for payload, receipt in reader.stream():
                yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                task = asyncio.create_task(settle_later(receipt))
                settling.add(task)
                task.add_done_callback(settling.discard)
        finally:
            for task in settling:
                task.cancel()
            reader.close()

    # --- Airflow 3.3: the triggerer says when an event is stored ------------------------------------------------------

    def shared_stream_key(self) -> Hashable:
        """The key of this trigger's stream, which no trigger with other arguments shares."""
        path, arguments = self.serialize()
        return (path, json.dumps(arguments, sort_keys=True, default=str))

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Fire an event for each payload of the stream."""
        async for payload in shared_stream:
            yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    @classmethod
    def create_shared_stream_producer(cls, kwargs: dict[str, Any]) -> Any:
        """The stream, and the means to delete a message once its event is stored."""
        from airflow_sm_pipelines.triggers.queue_stream import QueueProducer

        return QueueProducer(cls(**kwargs).make_reader())

    def make_reader(self) -> QueueReader:
        """What reads this trigger's queue."""
        from airflow_sm_pipelines.triggers.queue_stream import QueueReader

        return QueueReader(self.hook_arguments, self.queue, read=self.read, log=self.log)


class SageMakerPipelineCallbackEventTrigger(SageMakerQueueEventTrigger):
    """Fires an event for each message of a Callback step.

    The event holds ``kind`` (``"callback"``), ``id``, ``token``, ``execution_arn``, ``pipeline_name`` and
    ``arguments``. The token is sealed (see :mod:`airflow_sm_pipelines.airflow_task.token_sealing`):
    :class:`SageMakerAnswerCallbackOperator` opens it. Other messages stay in the queue.

    :param queue: the name or URL of the steps' queue. No other trigger and no sensor may read it.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """The event of a step's message; :data:`LEAVE` for other messages."""
        from airflow_sm_pipelines.airflow_task.token_sealing import seal_token
        from airflow_sm_pipelines.client.callbacks import parse_message
        from airflow_sm_pipelines.definition.arns import parse_execution_arn

        message = parse_message(item["Body"], item["ReceiptHandle"])
        if message is None:
            return LEAVE
        return {
            "kind": "callback",
            "id": item["MessageId"],
            "token": seal_token(message.token),
            "execution_arn": message.execution_arn,
            "pipeline_name": parse_execution_arn(message.execution_arn)[0],
            "arguments": message.arguments,
        }


class SageMakerPipelineExecutionEventTrigger(SageMakerQueueEventTrigger):
    """Fires an event for each execution that has ended, whoever started it.

    A message of EventBridge only names the execution. The event holds what ``DescribePipelineExecution`` then answers:
    ``kind`` (``"ended"``), ``id``, ``execution_arn``, ``pipeline_name``, ``status`` and ``failure_reason``.

    :param queue: the name or URL of the queue to which a rule sends status changes. No other trigger may read it.
    :param pipelines: names of the pipelines whose executions fire; None for all that the rule sends.
    :param statuses: statuses that fire, such as ``["Succeeded"]``; None for all.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(
        self,
        *,
        queue: str,
        pipelines: Sequence[str] | None = None,
        statuses: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(queue=queue, **kwargs)
        self.pipelines = None if pipelines is None else list(pipelines)
        self.statuses = None if statuses is None else list(statuses)

    def own_arguments(self) -> dict[str, Any]:
        """The arguments that make this trigger again, without those of its connection."""
        return {**super().own_arguments(), "pipelines": self.pipelines, "statuses": self.statuses}

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """The event of an execution's end; None for other status changes, :data:`LEAVE` for other messages."""
        from airflow_sm_pipelines.client.status_events import parse_queued
        from airflow_sm_pipelines.definition.arns import parse_execution_arn
        from airflow_sm_pipelines.exceptions import PipelineNotFoundError

        message = parse_queued(item)
        change = message.change
        if change is None:
            return LEAVE
        name = parse_execution_arn(change.execution_arn)[0]
        if not change.is_end or (self.pipelines is not None and name not in self.pipelines):
            return None
        try:
            report = hook.describe_execution(change.execution_arn)
        except PipelineNotFoundError:
            return None
        if not report.is_terminal:
            # The API may lag behind the event; or somebody has resumed the execution, and another event will come.
            return LEAVE if message.receives < _MAX_RECEIVES else None
        if self.statuses is not None and report.status not in self.statuses:
            return None
        return {
            "kind": "ended",
            "id": change.event_id or item["MessageId"],
            "execution_arn": report.arn,
            "pipeline_name": name,
            "status": str(report.status),
            "failure_reason": report.failure_reason,
        }


def pipeline_events(triggering_asset_events: Mapping[Any, Sequence[Any]]) -> list[dict[str, Any]]:
    """The events that the triggers of this module fired for this DAG run; often several, since Airflow gathers them.

    :param triggering_asset_events: Airflow's context variable of that name.
    :return: the events' payloads, each message once, in their order.
    """
    found: dict[str, dict[str, Any]] = {}
    for asset in triggering_asset_events:
        for event in triggering_asset_events[asset]:
            payload = (event.extra or {}).get("payload")
            payload = json.loads(payload) if isinstance(payload, str) else payload
            if isinstance(payload, dict) and payload.get("kind") in ("callback", "ended") and "id" in payload:
                found.setdefault(payload["id"], payload)
    return list(found.values())
