"""Lambda functions that are subscribed to an SNS topic: their messages go the way of EventBridge's events.

moto would start Docker for such a function, and lose the message where there is none.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.event_deliveries import make_queue, queue_event

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.server.http.messages import Request, Response


def prepare_subscription(request: Request, call_moto: Callable[[Request], Response]) -> None:
    """Make the queue that a function's subscription needs; nothing for any other request."""
    if request.service == "sns" and request.operation == "Subscribe" and request.form.get("Protocol") == "lambda":
        make_queue(call_moto, request.region)


def let_topics_call_functions() -> None:
    """Make moto queue what a topic has for a Lambda function. Filter policies act as for other subscribers."""
    from moto.sns import models

    subscriptions: Any = models.Subscription
    publish = subscriptions.publish
    if getattr(publish, "calls_functions", False):
        return

    def publish_or_queue(subscription: Any, message: str, message_id: str, *rest: Any, **members: Any) -> None:
        if subscription.protocol != "lambda":
            publish(subscription, message, message_id, *rest, **members)
            return
        told = {**dict(zip(("subject", "message_attributes"), rest, strict=False)), **members}
        attributes = told.get("message_attributes")
        matcher = subscription._filter_policy_matcher
        if matcher is not None and not matcher.matches(attributes, message):
            return
        if told.get("message_structure") == "json":
            message = subscription._parse_message_structure(message, subscription.protocol)
        event = _make_event(subscription, message, message_id, told.get("subject"), attributes)
        queue_event(subscription.topic.arn.split(":")[3], {"Arn": subscription.endpoint}, event, event)

    publish_or_queue.calls_functions = True  # type: ignore[attr-defined]
    subscriptions.publish = publish_or_queue


def _make_event(
    subscription: Any, message: str, message_id: str, subject: str | None, attributes: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What a function gets (Lambda developer guide, "Using Lambda with Amazon SNS"); it is not signed."""
    moment = datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notification = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic.arn,
        "Subject": subject,
        "Message": message,
        "Timestamp": moment,
        "SignatureVersion": "1",
        "Signature": "EXAMPLE",
        "SigningCertUrl": "EXAMPLE",
        "UnsubscribeUrl": "EXAMPLE",
        "MessageAttributes": attributes or {},
    }
    record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": subscription.arn}
    return {"Records": [{**record, "Sns": notification}]}
