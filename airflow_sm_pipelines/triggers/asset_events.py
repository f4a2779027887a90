"""Triggers of ``AssetWatcher``: a Callback step that asks, or an execution that has ended, starts a DAG.

:func:`pipeline_events` reads in a task what they fired.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.callbacks import parse_message
from airflow_sm_pipelines.client.reports import parse_execution_arn
from airflow_sm_pipelines.client.status_events import parse_queued
from airflow_sm_pipelines.exceptions import PipelineNotFoundError
from airflow_sm_pipelines.hooks.token_sealing import seal_token
from airflow_sm_pipelines.triggers.queue_stream import LEAVE, SageMakerQueueEventTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook

_MAX_RECEIVES = 10


class SageMakerPipelineCallbackEventTrigger(SageMakerQueueEventTrigger):
    """Fires an event for each message of a Callback step.

    The event holds ``kind`` (``"callback"``), ``id``, ``token``, ``execution_arn``, ``pipeline_name`` and
    ``arguments``. The token is sealed (see :mod:`airflow_sm_pipelines.hooks.token_sealing`):
    :class:`SageMakerAnswerCallbackOperator` opens it. Other messages stay in the queue.

    :param queue: the name or URL of the steps' queue. It has this trigger to itself: no sensor reads it.
    :param kwargs: ``aws_conn_id``, ``region_name``, ``verify``, ``botocore_config``.
    """

    def __init__(self, *, queue: str, **kwargs: Any) -> None:
        """Hold what the trigger needs; nothing is called when a DAG file is parsed."""
        super().__init__(queue=queue, **kwargs)

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """What a step asks; :data:`LEAVE` for other messages."""
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

    EventBridge says where to look; the event tells what ``DescribePipelineExecution`` answers then: ``kind``
    (``"ended"``), ``id``, ``execution_arn``, ``pipeline_name``, ``status`` and ``failure_reason``.

    :param queue: the name or URL of the queue that a rule sends status changes to; it has this trigger to itself.
    :param pipelines: names of the pipelines that count; None for all that the rule sends.
    :param statuses: ends that count, such as ``["Succeeded"]``; None for all.
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
        """Hold what the trigger needs; nothing is called when a DAG file is parsed."""
        super().__init__(queue=queue, **kwargs)
        self.pipelines = None if pipelines is None else list(pipelines)
        self.statuses = None if statuses is None else list(statuses)
        self.arguments |= {"pipelines": self.pipelines, "statuses": self.statuses}

    def read(self, hook: SageMakerPipelinesHook, item: dict[str, Any]) -> dict[str, Any] | None:
        """An execution's end; None for other status changes, :data:`LEAVE` for what is none."""
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
            # The API may be behind its event; or somebody has resumed the execution, and another event will come.
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
    """What the triggers of this module fired for this DAG run; often several, since Airflow gathers events.

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
