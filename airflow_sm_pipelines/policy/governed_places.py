"""Every place of a definition that a team's policy is about, with its kind.

The arguments of a step are walked along the shapes of its call; :mod:`shape_kinds` says what each shape means.
Checking, filling in, explaining and IAM policies all read these places, so they mean the same ones.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition import MISSING, Missing
from airflow_sm_pipelines.definition.expressions import is_expression, iter_candidates
from airflow_sm_pipelines.definition.step_places import iter_step_places
from airflow_sm_pipelines.policy.shape_kinds import (
    ATTRIBUTE_KINDS,
    DEMANDED,
    DEMANDED_WITH,
    MADE_STRUCTURES,
    NAMED_KINDS,
    NAMED_STEP_TYPES,
    NOT_DEMANDED,
    TEXT_STEP_TYPES,
    UNGOVERNED_STEP_TYPES,
    Kind,
    find_kind,
)
from airflow_sm_pipelines.service_model import LINEAGE_CALLS, STEP_CALLS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.service_model import Shape, StepCall


@dataclass(frozen=True, slots=True)
class GovernedPlace:
    """A governed value.

    :param path: from the document's root, or from the step where only the step was walked.
    :param value: ``MISSING`` where something is left out that a policy can demand.
    :param owner: the object around it; empty where there is none yet.
    :param step: the step it belongs to; ``None`` for the pipeline's own settings.
    """

    path: JsonPath
    kind: Kind
    value: JsonValue | Literal[Missing.MISSING]
    owner: JsonObject
    step: Step | None = None


def iter_governed_places(definition: PipelineDefinition) -> Iterator[GovernedPlace]:
    """Every governed place of a definition, in the order of the document."""
    mlflow = definition.mlflow_config or {}
    if mlflow.get("MlflowResourceArn") is not None:
        yield GovernedPlace(("MlflowConfig", "MlflowResourceArn"), Kind.ACCOUNT, mlflow["MlflowResourceArn"], mlflow)
    for path, step in iter_step_places(definition):
        for place in iter_step_governed(step):
            yield GovernedPlace((*path, *place.path), place.kind, place.value, place.owner, step)


def iter_step_governed(step: Step) -> Iterator[GovernedPlace]:
    """The governed places of one step, with paths that start at the step."""
    yield GovernedPlace(("Type",), Kind.STEP_TYPE, step.type, {}, step)
    for found in _iter_arguments(step):
        yield GovernedPlace(("Arguments", *found.path), found.kind, found.value, found.owner, step)
    for key, value in step.attributes.items():
        kind = ATTRIBUTE_KINDS.get(key, Kind.TEXT)
        if kind is Kind.TEXT:
            yield from _iter_named(value, (key,), {})
        elif kind is not Kind.FREE and value is not None:
            yield GovernedPlace((key,), kind, value, step.attributes, step)
    for path, operand in step.iter_operands():
        for inner, item in iter_candidates(operand):
            body = item.get("Std:JsonGet")
            if isinstance(body, dict) and body.get("S3Uri") is not None:
                yield GovernedPlace((*path, *inner, "Std:JsonGet", "S3Uri"), Kind.S3, body["S3Uri"], body, step)
    if _is_unplaced(step):
        yield GovernedPlace(("Type",), Kind.UNPLACED, step.type, {}, step)


def _is_unplaced(step: Step) -> bool:
    """Whether nothing is known of what a step of this type does."""
    known = NAMED_STEP_TYPES | TEXT_STEP_TYPES | UNGOVERNED_STEP_TYPES | {"Lineage"}
    call = STEP_CALLS.get(step.type)
    return step.type not in known and (call is None or call.find_operation() is None)


def _iter_arguments(step: Step) -> Iterator[GovernedPlace]:
    if step.type in UNGOVERNED_STEP_TYPES:
        return
    if step.type in TEXT_STEP_TYPES:
        yield from _iter_text(step.arguments, (), {})
    elif step.type == "Lineage":
        for key, value in step.arguments.items():
            call = LINEAGE_CALLS.get(key)
            for index, entry in enumerate(value if isinstance(value, list) else [value]):
                path: JsonPath = (key, index) if isinstance(value, list) else (key,)
                yield from _iter_request(call, entry, path)
    else:
        yield from _iter_request(STEP_CALLS.get(step.type), step.arguments, ())


def _iter_request(call: StepCall | None, request: JsonValue, path: JsonPath) -> Iterator[GovernedPlace]:
    operation = call.find_operation() if call else None
    if operation is None or operation.input_shape is None:
        yield from _iter_named(request, path, {})
    else:
        yield from _iter_shape(operation.input_shape, request, path, {})


def _iter_shape(shape: Shape, value: JsonValue, path: JsonPath, owner: JsonObject) -> Iterator[GovernedPlace]:
    """The places in a value that is no scalar."""
    if is_expression(value):
        for kind in sorted(_list_kinds(shape)):
            yield GovernedPlace(path, kind, value, owner)
    elif shape.type_name == "structure" and isinstance(value, dict):
        yield from _iter_structure(shape, value, path)
    elif shape.type_name == "list" and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _iter_member(shape.name, "[]", shape.member, item, (*path, index), owner)
    elif shape.type_name == "map" and isinstance(value, dict):
        for key, item in value.items():
            yield from _iter_member(shape.name, "{}", shape.value, item, (*path, key), value)
    else:
        yield from _iter_named(value, path, owner)


def _iter_structure(shape: Shape, value: JsonObject, path: JsonPath) -> Iterator[GovernedPlace]:
    for name, member in shape.members.items():
        item, inner = value.get(name), (*path, name)
        if item is not None:
            yield from _iter_member(shape.name, name, member, item, inner, value)
        elif _is_demanded(f"{shape.name}.{name}", find_kind(member.name, shape.name, name), value):
            kind = find_kind(member.name, shape.name, name)
            yield GovernedPlace(inner, kind or Kind.FREE, MISSING, value)
        elif member.name in MADE_STRUCTURES:
            yield from (place for place in _iter_structure(member, {}, inner) if isinstance(place.value, Missing))
    for name, item in value.items():
        if name not in shape.members and item is not None:
            yield from _iter_named({name: item}, path, value)


def _is_demanded(member: str, kind: Kind | None, value: JsonObject) -> bool:
    if kind not in DEMANDED or member in NOT_DEMANDED:
        return False
    return member not in DEMANDED_WITH or value.get(DEMANDED_WITH[member]) is not None


def _iter_member(
    owner_name: str, name: str, shape: Shape, value: JsonValue, path: JsonPath, owner: JsonObject
) -> Iterator[GovernedPlace]:
    """The places at a member: itself, if it is a scalar or governed as a whole, and those inside."""
    kind = find_kind(shape.name, owner_name, name)
    if value is None or (kind is Kind.TAGS and f"{owner_name}.{name}" in NOT_DEMANDED):
        return
    if shape.type_name in ("structure", "list", "map"):
        if kind is not None:
            yield GovernedPlace(path, kind, value, owner)
        if kind is None or not is_expression(value):
            yield from _iter_shape(shape, value, path, owner)
    elif kind is None:
        yield GovernedPlace(path, Kind.UNPLACED, value, owner)
    elif isinstance(value, (dict, list)) and not is_expression(value):
        yield from _iter_named(value, path, owner)
    elif kind is Kind.DOCUMENT:
        yield from _iter_document(value, path, owner)
    elif kind is not Kind.FREE:
        yield GovernedPlace(path, kind, value, owner)


@cache
def _list_kinds(shape: Shape) -> frozenset[Kind]:
    """The kinds of everything that a value of this shape may hold, for a value that is not known yet."""
    kinds: set[Kind] = set()
    stack: list[tuple[str, str, Shape]] = [("", "", shape)]
    seen: set[str] = set()
    while stack:
        owner, name, item = stack.pop()
        kind = find_kind(item.name, owner, name)
        if kind is not None:
            kinds.add(kind)
        if item.name in seen:
            continue
        seen.add(item.name)
        stack += [(item.name, key, member) for key, member in item.members.items()]
        if item.type_name == "list":
            stack.append((item.name, "[]", item.member))
        elif item.type_name == "map":
            stack.append((item.name, "{}", item.value))
    return frozenset(kinds - {Kind.FREE, Kind.TEXT, Kind.DOCUMENT})


def _iter_document(value: JsonValue, path: JsonPath, owner: JsonObject) -> Iterator[GovernedPlace]:
    """The places in JSON text, by name; the text itself where it is none."""
    try:
        document = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        document = None
    yield GovernedPlace(path, Kind.TEXT, value, owner)
    if isinstance(document, (dict, list)):
        yield from (place for place in _iter_named(document, path, owner) if place.kind is not Kind.TEXT)


def _iter_named(value: JsonValue, path: JsonPath, owner: JsonObject, kind: Kind = Kind.TEXT) -> Iterator[GovernedPlace]:
    """The places in a value without a shape: members by their names, everything else as text."""
    if isinstance(value, dict) and not is_expression(value):
        for key, item in value.items():
            yield from _iter_named(item, (*path, key), value, NAMED_KINDS.get(key.casefold(), Kind.TEXT))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _iter_named(item, (*path, index), owner, kind)
    elif value is not None and (kind is not Kind.TEXT or isinstance(value, (str, dict))):
        yield GovernedPlace(path, kind, value, owner)


def _iter_text(value: JsonValue, path: JsonPath, owner: JsonObject) -> Iterator[GovernedPlace]:
    if isinstance(value, dict) and not is_expression(value):
        for key, item in value.items():
            yield from _iter_text(item, (*path, key), value)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _iter_text(item, (*path, index), owner)
    elif isinstance(value, (str, dict)):
        yield GovernedPlace(path, Kind.TEXT, value, owner)
