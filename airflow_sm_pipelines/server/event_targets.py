"""EventBridge's targets: which ones the endpoint can serve, and that one's failure is not another's. No schedules.

moto serves the targets of a rule in one go, so one that it cannot serve (a Lambda function, a topic, a queue that is
gone) would keep an event from all that come after it. The event would then be sent again to those that had it.
"""

from __future__ import annotations

import copy
import json
import logging
import re
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.http.aws_errors import json_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.server.http.messages import Request, Response

_log = logging.getLogger(__name__)

_SERVED = re.compile(r"arn:[^:]*:(?:sqs:[^:]*:[^:]*:.+|logs:[^:]*:[^:]*:log-group:.+|events:[^:]*:[^:]*:event-bus/.+)")
_MAX_NAMED = 3


def refuse_unserved_targets(request: Request) -> Response | None:
    """The answer to a PutTargets with a target that the endpoint cannot serve; None for any other request."""
    if request.service != "events" or request.operation != "PutTargets":
        return None
    try:
        targets = json.loads(request.body).get("Targets") or []
        unserved = [target["Arn"] for target in targets if not _SERVED.fullmatch(target["Arn"])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # what is no request of this kind is refused by moto
    if not unserved:
        return None
    names = ", ".join(map(str, unserved[:_MAX_NAMED]))
    return json_error(
        "ValidationException",
        f"The local endpoint cannot send events to {names}: it serves SQS queues, log groups and event buses. Give the"
        " rule a queue here, and read the events from it.",
    )


def refuse_schedules(request: Request) -> Response | None:
    """The answer to a schedule, or a rule by the clock, that would start something; None for any other request.

    moto keeps both and starts nothing. One that is disabled starts nothing on AWS either.
    """
    is_rule = request.service == "events" and request.operation == "PutRule"
    is_change = request.method in ("POST", "PUT") and request.path.startswith("/schedules/")
    if not is_rule and (request.service != "scheduler" or not is_change):
        return None
    try:
        document = json.loads(request.body)
        starts_nothing = document.get("State") == "DISABLED" or (is_rule and not document.get("ScheduleExpression"))
    except (ValueError, AttributeError):
        return None  # what is no request of this kind is refused by moto
    if starts_nothing:
        return None
    return json_error(
        "ValidationException",
        "The local endpoint starts nothing by the clock: EventBridge keeps schedules here only with State DISABLED. Let"
        " Airflow start the pipeline, or call StartPipelineExecution.",
    )


def let_targets_be_independent() -> None:
    """Make moto send an event to each target of a rule by itself, and whole: moto 5.2 leaves its account out.

    What a target raises is logged, and is its own.
    """
    from moto.events import models

    rules: Any = models.Rule
    send_to_all = rules.send_to_targets
    if getattr(send_to_all, "is_independent", False):
        return

    def send_to_each(rule: Any, original_event: Any, transform_input: bool = True) -> None:
        event = {name: value for name, value in original_event.items() if name != "ingestion-time"}  # moto's own
        if not rule.event_pattern.matches_event(event):
            return
        for target in list(rule.targets):
            one = copy.copy(rule)
            one.targets = [target]
            # What a target gets need not match any more.
            one.event_pattern = models.EventPattern(None, {})
            try:
                is_transformed = transform_input and bool(target.get("InputTransformer"))
                send_to_all(one, _choose_input(target, event), is_transformed)
            except Exception as error:  # noqa: BLE001 - moto raises anything for a target that it cannot serve
                _log.warning("EventBridge could not reach %s: %s: %s", target.get("Arn"), type(error).__name__, error)

    send_to_each.is_independent = True  # type: ignore[attr-defined]
    rules.send_to_targets = send_to_each


def _choose_input(target: Mapping[str, Any], event: dict[str, Any]) -> Any:
    """What a target gets: the event, the part of it that its ``InputPath`` names, or its own ``Input``."""
    from jsonpath_ng.ext.parser import parse

    if target.get("Input"):
        return json.loads(target["Input"])
    if target.get("InputPath"):
        return next(match.value for match in parse(target["InputPath"]).find(event))
    return event
