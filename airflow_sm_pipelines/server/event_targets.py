"""EventBridge's targets: which ones the endpoint can serve, and that one's failure is not another's. No schedules.

moto serves the targets of a rule in one go, so one that it cannot serve, such as a queue that is gone, would keep an
event from all that come after it. The event would then be sent again to those that had it.
"""

from __future__ import annotations

import copy
import json
import logging
import re
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.server.event_deliveries import is_delivered_here, make_queue, queue_event
from airflow_sm_pipelines.server.http.aws_errors import json_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.server.http.messages import Request, Response

_log = logging.getLogger(__name__)

_SERVED = re.compile(r"arn:[^:]*:(?:sqs:[^:]*:[^:]*:.+|logs:[^:]*:[^:]*:log-group:.+|events:[^:]*:[^:]*:event-bus/.+)")
_MAX_NAMED = 3


def refuse_unserved_targets(request: Request, call_moto: Callable[[Request], Response]) -> Response | None:
    """The answer to a PutTargets with a target that the endpoint cannot serve; None for any other request.

    :param call_moto: makes the queue that some of the targets need.
    """
    if request.service != "events" or request.operation != "PutTargets":
        return None
    try:
        targets = json.loads(request.body).get("Targets") or []
        has_own = any(is_delivered_here(target["Arn"]) for target in targets)
        unserved = [
            one["Arn"] for one in targets if not (_SERVED.fullmatch(one["Arn"]) or is_delivered_here(one["Arn"]))
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return None  # what is no request of this kind is refused by moto
    if not unserved:
        if has_own:
            make_queue(call_moto, request.region)
        return None
    names = ", ".join(map(str, unserved[:_MAX_NAMED]))
    return json_error(
        "ValidationException",
        f"The local endpoint cannot send events to {names}: it serves SQS queues, SNS topics, Lambda functions,"
        " SageMaker pipelines, log groups and event buses. Give the rule one of these here.",
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
                is_ours = is_delivered_here(target["Arn"])
                told = _with_time_as_text(event) if is_ours or target.get("InputTransformer") else event
                given = _choose_input(target, told)
                if is_ours:
                    queue_event(rule.region_name, target, told, given)
                else:
                    send_to_all(one, _Text(given) if isinstance(given, str) else given, False)
            except Exception as error:  # noqa: BLE001 - moto raises anything for a target that it cannot serve
                _log.warning("EventBridge could not reach %s: %s: %s", target.get("Arn"), type(error).__name__, error)

    send_to_each.is_independent = True  # type: ignore[attr-defined]
    rules.send_to_targets = send_to_each


class _Text(str):
    """A text that is sent as it is. moto takes all that it sends for an event: it copies it, and looks for ``time``."""

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return False

    def copy(self) -> _Text:
        return self


_STRING = re.compile(r'("(?:[^"\\]|\\.)*")')
_VARIABLE = re.compile("<([^<>]+)>")


def _transform(transformer: Mapping[str, Any], event: dict[str, Any]) -> Any:
    """What a target with an ``InputTransformer`` gets.

    A variable outside of quotes becomes JSON, one inside becomes text. Source: EventBridge's user guide, "input
    transformation". moto gives text in both places, which is no JSON then.
    """
    from jsonpath_ng.ext.parser import parse

    values: dict[str, Any] = {"aws.events.event.json": event}
    for name, path in (transformer.get("InputPathsMap") or {}).items():
        values[name] = next((match.value for match in parse(path).find(event)), None)

    def as_json(found: re.Match[str]) -> str:
        return json.dumps(values[found[1]]) if found[1] in values else found[0]

    def as_text(found: re.Match[str]) -> str:
        value = values.get(found[1], found[0])
        text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
        return json.dumps(text)[1:-1]

    parts = _STRING.split(transformer["InputTemplate"])
    filled = "".join(_VARIABLE.sub(as_text if part.startswith('"') else as_json, part) for part in parts)
    try:
        return json.loads(filled)
    except ValueError:
        return filled


def _with_time_as_text(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its time as targets see it; moto has seconds."""
    moment = datetime.fromtimestamp(float(event["time"]), tz=timezone.utc)
    return {**event, "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ")}


def _choose_input(target: Mapping[str, Any], event: dict[str, Any]) -> Any:
    """What a target gets: the event, a part of it, what its ``InputTransformer`` makes of it, or its own ``Input``."""
    from jsonpath_ng.ext.parser import parse

    if target.get("InputTransformer"):
        return _transform(target["InputTransformer"], event)
    if target.get("Input"):
        return json.loads(target["Input"])
    if target.get("InputPath"):
        return next(match.value for match in parse(target["InputPath"]).find(event))
    return event
