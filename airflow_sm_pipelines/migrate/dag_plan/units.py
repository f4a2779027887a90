"""Splits a workflow into the units that Airflow runs: pipelines with as many steps as possible, and tasks between them.

This module decides which nodes are in one pipeline and what waits for what. It does not know how a unit is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.migrate.dag_plan.steps_after_choice import is_steps_only
from airflow_sm_pipelines.migrate.node_references import find_airflow_reads, find_named_nodes
from airflow_sm_pipelines.migrate.workflow import (
    CallNode,
    ChoiceNode,
    LoopNode,
    MissingNode,
    Node,
    OperatorNode,
    PipelineStepNode,
    TryNode,
    ValueNode,
    WaitNode,
    iter_nodes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_sm_pipelines.definition import JsonObject


@dataclass(frozen=True, slots=True)
class Upstream:
    """A unit that must end before another one begins.

    :param trigger: how it must end: ``Completed``, ``Failed``, ``Stopped`` or ``Any``.
    """

    unit: str
    trigger: str = "Completed"


@dataclass(frozen=True, slots=True)
class PipelineUnit:
    """Nodes that become the steps of one pipeline.

    :param name: the name of the first node.
    :param loop: the pipeline runs once for each item of this loop; None if it runs once.
    """

    name: str
    nodes: tuple[Node, ...]
    upstream: tuple[Upstream, ...]
    loop: LoopNode | None = None


@dataclass(frozen=True, slots=True)
class TaskUnit:
    """One node that becomes an Airflow task: a call, an operator, a wait, a value, something missing, or a Fail.

    :param lost: the nodes inside a loop that neither a pipeline nor a mapped task can do; the node stands for it.
    """

    name: str
    node: CallNode | OperatorNode | WaitNode | ValueNode | MissingNode | PipelineStepNode
    upstream: tuple[Upstream, ...]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChoiceUnit:
    """A choice that Airflow makes.

    :param branches: for each branch, its conditions and its units.
    """

    name: str
    node: ChoiceNode
    branches: tuple[tuple[tuple[JsonObject, ...], tuple[Unit, ...]], ...]
    upstream: tuple[Upstream, ...]


@dataclass(frozen=True, slots=True)
class TryUnit:
    """Work whose failure is handled.

    :param body: the units of the work.
    :param handler: what runs if one of them fails.
    :param otherwise: what runs if none fails.
    """

    name: str
    node: TryNode
    body: tuple[Unit, ...]
    handler: tuple[Unit, ...]
    otherwise: tuple[Unit, ...]
    upstream: tuple[Upstream, ...]

    @property
    def branches(self) -> tuple[tuple[tuple[JsonObject, ...], tuple[Unit, ...]], ...]:
        """What may follow the work: nothing but one of the two."""
        return ((), self.otherwise), ((), self.handler)


@dataclass(frozen=True, slots=True)
class LoopUnit:
    """A loop that Airflow repeats: a group of tasks, mapped over the items.

    :param body: the units that are run for each item.
    """

    name: str
    node: LoopNode
    body: tuple[Unit, ...]
    upstream: tuple[Upstream, ...]


Unit: TypeAlias = PipelineUnit | TaskUnit | ChoiceUnit | TryUnit | LoopUnit


def split_into_units(nodes: tuple[Node, ...], *, in_loop: bool = False) -> tuple[Unit, ...]:
    """The units of a block, each after the units that it waits for.

    :param nodes: a block that :func:`steps_after_choice.move_steps_into_branches` returned.
    :param in_loop: whether a loop that Airflow repeats is around it. Airflow maps no group in a mapped group.
    """
    inside = {inner.name: node.name for node in nodes for inner in iter_nodes((node,))}
    waits = {node.name: _find_waits(node, inside) for node in nodes}
    in_pipeline = {node.name for node in nodes if _is_for_pipeline(node, nodes)}
    group_of = _group_nodes(nodes, waits, in_pipeline)
    members: dict[str, list[Node]] = {}
    for node in nodes:
        members.setdefault(group_of[node.name], []).append(node)
    units = [
        _make_unit(name, tuple(group), in_pipeline, _find_upstream(group, group_of, waits), in_loop=in_loop)
        for name, group in members.items()
    ]
    return _sort_units(units)


def _is_for_pipeline(node: Node, nodes: Sequence[Node]) -> bool:
    if not is_steps_only(node):
        return False
    if isinstance(node, ChoiceNode):
        # A node that still follows the choice could not be moved into it, so Airflow makes the choice.
        inner = {one.name for one in iter_nodes((node,))}
        return not any(find_named_nodes(other) & inner for other in nodes if other.name != node.name)
    # A value that Airflow works out from a step's needs that step in an earlier pipeline.
    return not (find_airflow_reads(node) and isinstance(node, LoopNode))


def _find_waits(node: Node, inside: dict[str, str]) -> dict[str, str]:
    """The nodes of the block that a node waits for, each with its trigger."""
    own = {inner.name for inner in iter_nodes((node,))}
    waits = {inside[name]: "Completed" for name in sorted(find_named_nodes(node) - own) if name in inside}
    waits.pop(node.name, None)
    for dependency in node.after:
        if dependency.step in inside and dependency.trigger != "Completed":
            waits[inside[dependency.step]] = dependency.trigger
    return waits


def _group_nodes(nodes: Sequence[Node], waits: dict[str, dict[str, str]], in_pipeline: set[str]) -> dict[str, str]:
    """For each node, the first node of its unit. Connected steps share a unit if no task stands between them."""
    inside = {node.name: {inner.name for inner in iter_nodes((node,))} for node in nodes}
    level: dict[str, int] = {}
    group_of: dict[str, str] = {}
    for node in nodes:
        is_step = node.name in in_pipeline
        through_airflow = find_airflow_reads(node)
        level[node.name] = max(
            (
                level[other] + (is_step != (other in in_pipeline) or bool(inside[other] & through_airflow))
                for other in waits[node.name]
                if other in level
            ),
            default=0,
        )
        group_of[node.name] = node.name
        if is_step:
            near = [one for one in waits[node.name] if one in in_pipeline and level.get(one) == level[node.name]]
            groups = {group_of[one] for one in near} | {node.name}
            first = next(one.name for one in nodes if group_of.get(one.name) in groups)
            group_of = {name: first if group in groups else group for name, group in group_of.items()}
    return group_of


def _find_upstream(
    group: Sequence[Node], group_of: dict[str, str], waits: dict[str, dict[str, str]]
) -> tuple[Upstream, ...]:
    found: dict[str, str] = {}
    own = group_of[group[0].name]
    for node in group:
        for other, trigger in waits[node.name].items():
            unit = group_of[other]
            if unit != own and found.get(unit, "Completed") == "Completed":
                found[unit] = trigger
    return tuple(Upstream(unit, trigger) for unit, trigger in found.items())


def _make_unit(
    name: str, group: tuple[Node, ...], in_pipeline: set[str], upstream: tuple[Upstream, ...], *, in_loop: bool
) -> Unit:
    first = group[0]
    if first.name in in_pipeline:
        if len(group) == 1 and isinstance(first, PipelineStepNode) and first.type == "Fail":
            return TaskUnit(name, first, upstream)
        return PipelineUnit(name, group, upstream)
    if isinstance(first, ChoiceNode):
        branches = tuple(
            (branch.conditions, split_into_units(branch.nodes, in_loop=in_loop)) for branch in first.branches
        )
        return ChoiceUnit(name, first, branches, upstream)
    if isinstance(first, TryNode):
        blocks = (first.nodes, first.handler, first.otherwise)
        body, handler, otherwise = (split_into_units(block, in_loop=in_loop) for block in blocks)
        return TryUnit(name, first, body, handler, otherwise, upstream)
    if isinstance(first, LoopNode):
        if not in_loop:
            if all(map(is_steps_only, first.nodes)):
                return PipelineUnit(name, first.nodes, upstream, loop=first)
            return LoopUnit(name, first, split_into_units(first.nodes, in_loop=True), upstream)
        action = (
            f"{first.source} is a loop in a loop, and Airflow maps no tasks twice. Make a DAG of it, and trigger that."
        )
        lost = tuple(inner.name for inner in iter_nodes(first.nodes))
        return TaskUnit(name, MissingNode(first.name, first.source, action), upstream, lost=lost)
    return TaskUnit(name, first, upstream)


def _sort_units(units: Sequence[Unit]) -> tuple[Unit, ...]:
    """The units, each after its upstream units and otherwise in the order given."""
    left, done, ordered = list(units), set[str](), list[Unit]()
    while left:
        unit = next(one for one in left if all(up.unit in done for up in one.upstream))
        left.remove(unit)
        done.add(unit.name)
        ordered.append(unit)
    return tuple(ordered)


def iter_units(units: Sequence[Unit]) -> Iterator[Unit]:
    """Every unit, outer before inner."""
    for unit in units:
        yield unit
        if isinstance(unit, (TryUnit, LoopUnit)):
            yield from iter_units(unit.body)
        if isinstance(unit, (ChoiceUnit, TryUnit)):
            for _, inner in unit.branches:
                yield from iter_units(inner)
