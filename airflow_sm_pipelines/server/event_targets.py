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
    """The answer to a CreateSchedule or UpdateSchedule that would start something; None for any other request.

    moto keeps schedules and starts nothing. A schedule that is disabled starts nothing on AWS either.
    """
    is_change = request.method in ("POST", "PUT") and request.path.startswith("/schedules/")
    if request.service != "scheduler" or not is_change:
        return None
    try:
        is_disabled = json.loads(request.body).get("State") == "DISABLED"
    except (ValueError, AttributeError):
        return None  # what is no request of this kind is refused by moto
    if is_disabled:
        return None
    return json_error(
        "ValidationException",
        "The local endpoint starts nothing by the clock: EventBridge Scheduler keeps schedules here only with State"
        " DISABLED. Let Airflow start the pipeline, or call StartPipelineExecution.",
    )


def let_targets_be_independent() -> None:
    """Make moto send an event to each target of a rule by itself. What a target raises is logged, and is its own."""
    from moto.events import models

    rules: Any = models.Rule
    send_to_all = rules.send_to_targets
    if getattr(send_to_all, "is_independent", False):
        return

    def send_to_each(rule: Any, original_event: Any, transform_input: bool = True) -> None:
        for target in list(rule.targets):
            one = copy.copy(rule)
            one.targets = [target]
            try:
                send_to_all(one, original_event, transform_input)
            except Exception as error:  # noqa: BLE001 - moto raises anything for a target that it cannot serve
                _log.warning("EventBridge could not reach %s: %s: %s", target.get("Arn"), type(error).__name__, error)

    send_to_each.is_independent = True  # type: ignore[attr-defined]
    rules.send_to_targets = send_to_each
