"""Every shape that a step's request can hold has a place in the table, and the table names nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.definition import StepType
from airflow_sm_pipelines.policy.shape_kinds import (
    ATTRIBUTE_KINDS,
    DEMANDED,
    DEMANDED_WITH,
    MADE_STRUCTURES,
    MEMBER_KINDS,
    NAMED_STEP_TYPES,
    NOT_DEMANDED,
    SHAPE_KINDS,
    TEXT_STEP_TYPES,
    UNGOVERNED_STEP_TYPES,
    find_kind,
)
from airflow_sm_pipelines.policy.step_settings import KNOWN_ATTRIBUTES
from airflow_sm_pipelines.service_model import LINEAGE_CALLS, STEP_CALLS, load_service_model
from airflow_sm_pipelines.service_model.api_model import ServiceModel, read_installed_model, read_installed_version

if TYPE_CHECKING:
    from airflow_sm_pipelines.service_model import Shape

STRUCTURED = ("structure", "list", "map")


def iter_members(model: ServiceModel) -> set[tuple[str, str, str, bool]]:
    """Shape, owner, member, and whether it is a scalar: everything that the requests of steps can hold."""
    found: set[tuple[str, str, str, bool]] = set()
    calls = {call.operation for call in (*STEP_CALLS.values(), *LINEAGE_CALLS.values())}
    stack: list[Shape] = [model.get_request_shape(call) for call in calls & model.operation_names]
    seen: set[str] = set()
    while stack:
        shape = stack.pop()
        if shape.name in seen:
            continue
        seen.add(shape.name)
        inner = list(shape.members.items())
        if shape.type_name == "list":
            inner.append(("[]", shape.member))
        elif shape.type_name == "map":
            inner += [("{}", shape.value), ("key", shape.key)]
        found |= {(item.name, shape.name, name, item.type_name not in STRUCTURED) for name, item in inner}
        stack += [item for _, item in inner if item.type_name in STRUCTURED]
    return found


@pytest.mark.parametrize("source", ["the judging model", "the installed botocore"])
def test_every_scalar_of_every_request_has_a_kind(source: str) -> None:
    """A failure after an update of boto3: place the new shapes; nobody else's upgrade breaks."""
    if source == "the judging model":
        model = load_service_model()
    else:
        model = ServiceModel(read_installed_model(), version=read_installed_version())
    members = iter_members(model)
    assert len(members) > 500
    unplaced = [place[:3] for place in members if place[3] and find_kind(*place[:3]) is None]
    assert not sorted(unplaced)


def test_the_tables_name_only_what_there_is() -> None:
    members = iter_members(load_service_model())
    shapes = {shape for shape, *_ in members}
    assert not SHAPE_KINDS.keys() - shapes
    assert not MEMBER_KINDS.keys() - shapes
    assert not MADE_STRUCTURES - shapes
    assert not SHAPE_KINDS.keys() & MEMBER_KINDS.keys(), "a shape has one meaning or several"
    named = {f"{owner}.{member}" for _, owner, member, _ in members}
    assert not NOT_DEMANDED - named
    assert not DEMANDED_WITH.keys() - named
    for shape, kinds in MEMBER_KINDS.items():
        places = {(owner, member) for name, owner, member, _ in members if name == shape}
        names = {member for _, member in places} | {f"{o}.{m}" for o, m in places} | {f"{o}{m}" for o, m in places}
        assert not kinds.keys() - names, shape


def test_what_is_demanded_can_be_left_out() -> None:
    """The only structures that need not be there are those that are made; so nothing demanded hides in another one."""
    model = load_service_model()
    for shape, owner, member, _ in iter_members(model):
        if f"{owner}.{member}" not in NOT_DEMANDED and find_kind(shape, owner, member) in DEMANDED:
            assert member in model.get_shape(owner).members


def test_every_step_type_is_placed() -> None:
    placed = STEP_CALLS.keys() | NAMED_STEP_TYPES | TEXT_STEP_TYPES | UNGOVERNED_STEP_TYPES | {"Lineage"}
    assert {kind.value for kind in StepType} <= placed


def test_every_key_beside_the_arguments_is_placed() -> None:
    assert ATTRIBUTE_KINDS.keys() == KNOWN_ATTRIBUTES
