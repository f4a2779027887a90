"""The calls of both sides in one form. What may differ is left out here; docs/migration.md has the list.

Left out are names that SageMaker gives, ids, times and errors of a run, how often a failed call is repeated, how long a
wait until a moment is, and the form of a callback's message.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.comparison.api_shapes import find_operation, make_normal
from airflow_sm_pipelines.comparison.machine_run import ID_MARK, TIME_MARK
from airflow_sm_pipelines.comparison.scripts import ABSENT, CAUSE_MARK, ERROR_MARK, Resource
from airflow_sm_pipelines.comparison.traces import Event
from airflow_sm_pipelines.migrate.job_requests import REQUEST_KINDS, RequestKind
from airflow_sm_pipelines.migrate.stepfunctions.task_nodes import (
    CallbackResource,
    LambdaResource,
    StepResource,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NAME_MEMBERS = {kind.name_member for kind in REQUEST_KINDS if kind.noun != "Endpoint"}
_KINDS = {kind.step_type: kind for kind in reversed(REQUEST_KINDS)}
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NO_UUID = "Function $uuid is currently not supported"  # what moto's JSONata has in its place
_TIME = r"\d{4}-\d\d-\d\dT[\d:.]+(?:Z|\+00:00)"
_WORDS = (ID_MARK, TIME_MARK, ERROR_MARK, CAUSE_MARK, _NO_UUID)
_MARKS = re.compile("|".join((*map(re.escape, _WORDS), _UUID, _TIME)))
_MADE = re.compile(r"made-(.+)-\d+\Z")


def read_machine_events(events: Iterable[Event], resources: Mapping[str, Resource]) -> list[Event]:
    """The events of a machine's run in their normal form."""
    names: dict[tuple[str, str], str] = {}
    found: list[Event] = []
    for event in events:
        if event.what == "wait":
            found.append(event)
            continue
        what, given = _read_request(resources[event.state], event)
        given = _replace_names(given, names)
        found.append(replace(event, what=what, given=_note_name(what, given, event.state, names)))
    return _join_attempts(found)


def _read_request(resource: Resource, event: Event) -> tuple[str, Any]:
    given = event.given if isinstance(event.given, dict) else {}
    if isinstance(resource, StepResource):
        return _read_step(resource.kind, given)
    if isinstance(resource, LambdaResource):
        if resource.function is not None:
            return "lambda invoke", {"FunctionName": event.what, "Payload": event.given}
        request = {key: item for key, item in given.items() if key != "InvocationType"}
        if "Qualifier" in request:
            request["FunctionName"] = f"{request['FunctionName']}:{request.pop('Qualifier')}"
        return "lambda invoke", {"Payload": None, **request}
    if isinstance(resource, CallbackResource):
        body = given.get("MessageBody")
        body = {key: item for key, item in body.items() if item != ID_MARK} if isinstance(body, dict) else body
        return "callback", {"QueueUrl": given.get("QueueUrl"), "MessageBody": body}
    return _read_call(resource.service, resource.operation, resource.make_request(given))


def _read_step(kind: RequestKind, given: Any) -> tuple[str, Any]:
    shape = find_operation("sagemaker", f"create_{kind.noun}").input_shape
    return f"step {kind.step_type}", make_normal(given, shape)


def _read_call(service: str, operation: str, given: Any) -> tuple[str, Any]:
    return f"{service} {operation}", make_normal(given, find_operation(service, operation).input_shape)


def _note_name(what: str, given: Any, state: str, names: dict[tuple[str, str], str]) -> Any:
    """A request without the name of what it makes, which SageMaker gives anew."""
    kind = _KINDS.get(what.removeprefix("step "))
    if kind is None or kind.noun == "Endpoint" or not isinstance(given, dict):
        return given
    member = kind.name_member
    if isinstance(given.get(member), str):
        names[member, given[member]] = state
    return {key: item for key, item in given.items() if key != member}


def _replace_names(value: Any, names: Mapping[tuple[str, str], str], key: str = "") -> Any:
    """A request with what has made it in place of each name."""
    if isinstance(value, dict):
        return {name: _replace_names(item, names, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_replace_names(item, names, key) for item in value]
    is_name = key in _NAME_MEMBERS and isinstance(value, str)
    return f"what {names[key, value]} has made" if is_name and (key, value) in names else value


def read_dag_events(events: Iterable[Mapping[str, Any]], states: Mapping[str, str]) -> list[Event]:
    """The events of a DAG's run in their normal form, in order.

    :param states: for each task and step, the state that it comes from.
    """
    found = []
    for event in events:
        what, given, task = str(event["what"]), event["given"], str(event["task"])
        if what.startswith("step "):
            what, given = _read_dag_step(what.removeprefix("step "), given)
        elif what == "lambda invoke":
            given = {"FunctionName": given["FunctionName"], "Payload": _parse_payload(given.get("Payload"))}
        elif what != "wait":
            service, _, operation = what.partition(" ")
            what, given = _read_call(service, operation, given)
        given = _replace_made(given, states)
        found.append(Event(states.get(task, ""), what, given, is_failure=bool(event["is_failure"]), task=task))
    return found


def _read_dag_step(step_type: str, given: Any) -> tuple[str, Any]:
    arguments = given["Arguments"]
    if step_type == "Callback":
        return "callback", {"QueueUrl": given.get("SqsQueueUrl"), "MessageBody": arguments}
    what, request = _read_step(_KINDS[step_type], arguments)
    kind = _KINDS[step_type]
    if kind.noun != "Endpoint":
        request.pop(kind.name_member, None)
    return what, request


def _parse_payload(text: Any) -> Any:
    return json.loads(text) if isinstance(text, str) and text else None


def _replace_made(value: Any, states: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replace_made(item, states) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace_made(item, states) for item in value]
    match = _MADE.match(value) if isinstance(value, str) else None
    return value if match is None else f"what {states.get(match[1], match[1])} has made"


def _join_attempts(events: list[Event]) -> list[Event]:
    """The events with all attempts of a call as one; the last one says how they ended."""
    joined: list[Event] = []
    for event in events:
        last = joined[-1] if joined else None
        is_repeat = last is not None and last.is_failure and (last.state, last.place) == (event.state, event.place)
        if is_repeat:
            joined[-1] = event
        else:
            joined.append(event)
    return joined


def find_difference(machine: Any, dag: Any, path: str = "", *, source: str = "the machine") -> str:
    """Where two requests differ, in words; empty if they are the same but for what may differ.

    :param source: what the first one is of, for the message.
    """
    if isinstance(machine, dict) and isinstance(dag, dict):
        for key in dict.fromkeys((*machine, *dag)):
            place = f"{path}.{key}" if path else key
            found = find_difference(machine.get(key, ABSENT), dag.get(key, ABSENT), place, source=source)
            if found:
                return found
        return ""
    if isinstance(machine, list) and isinstance(dag, list) and len(machine) == len(dag):
        for number, (one, other) in enumerate(zip(machine, dag, strict=True)):
            found = find_difference(one, other, f"{path}[{number}]", source=source)
            if found:
                return found
        return ""
    return (
        ""
        if _is_same(machine, dag)
        else f"{path or 'the request'}: {_show(machine)} in {source}, {_show(dag)} in the DAG"
    )


def _is_same(machine: Any, dag: Any) -> bool:
    if isinstance(machine, str) and isinstance(dag, str) and _MARKS.search(machine):
        pattern = ".+".join(re.escape(part) for part in _MARKS.split(machine))
        return re.fullmatch(pattern, dag, re.DOTALL) is not None
    return bool(type(machine) is type(dag) or _is_numeric(machine, dag)) and machine == dag


def _is_numeric(*values: Any) -> bool:
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values)


def _show(value: Any) -> str:
    return "nothing" if value is ABSENT else f"{value!r:.200}"
