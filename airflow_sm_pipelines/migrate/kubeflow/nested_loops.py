"""Loops whose items only a run knows, inside of another such loop.

No step repeats steps that repeat. So the inner loop stands beside the outer one, and repeats for every pair of an outer
and an inner item: a task of the DAG makes the list. That is the same work in the same order, as long as the inner loop
reads nothing that the outer one's tasks give for an item, and no task of the outer loop waits for the inner one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.migrate.kubeflow.input_values import NotCarriedError, RunValue, StepOutput, read_output
from airflow_sm_pipelines.migrate.node_references import find_named_nodes, find_own_values, iter_gets
from airflow_sm_pipelines.migrate.workflow import Branch, ChoiceNode, LoopNode, OperatorNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from airflow_sm_pipelines.definition import JsonObject, JsonValue
    from airflow_sm_pipelines.migrate.kubeflow.input_values import Value
    from airflow_sm_pipelines.migrate.workflow import Node

    Guard: TypeAlias = tuple[tuple[JsonObject, ...], ...]
    """The tests of the branches of a choice up to the one that a loop stands in."""

MAX_AT_ONCE = 50
INDEX: JsonObject = {"Get": "ForEach.CurrentItem.index"}

_COMBINE = "airflow_sm_pipelines.migrated_tasks.CombineItemsOperator"
_ITEM = re.compile(r"ForEach\.CurrentItem\.(?:level_(\d+)_)?(?:value|field_(.+))")


def make_item(level: int) -> RunValue:
    """The item of a loop in its tasks.

    :param level: 1 for the outermost loop, 2 for the one in it.
    """
    name = "value" if level == 1 else f"level_{level}_value"
    return RunValue({"Get": f"ForEach.CurrentItem.{name}"}, is_number=True)


def describe_level(items: Value) -> JsonObject:
    """What a loop repeats for, as ``CombineItemsOperator`` reads it: a list, or a member of a loop's item around it.

    :raises NotCarriedError: only a container could put it together.
    """
    if isinstance(items, StepOutput):
        return {"items": read_output(items.node, "values", items.key)}
    if not isinstance(items, RunValue):
        raise NotCarriedError("it repeats for items that a container would have to put together")
    found = _ITEM.fullmatch(str(items.expression.get("Get")))
    if found is None:
        return {"items": dict(items.expression)}
    return {"level": int(found[1] or 1), "member": found[2]}


def find_limit(*limits: int) -> int:
    """How many items at once, for loops in each other; a limit of 0 is none."""
    product = 1
    for limit in limits:
        product *= limit or MAX_AT_ONCE
    return min(product, MAX_AT_ONCE)


@dataclass(frozen=True, slots=True)
class InnerLoop:
    """A loop in a loop.

    :param levels: the items of the loops around it, and its own.
    :param guards: the choices between the outermost loop and it.
    :param after: what it waits for: what the outermost loop does, or tasks in there.
    """

    name: str
    source: str
    levels: tuple[JsonObject, ...]
    guards: tuple[Guard, ...]
    nodes: tuple[Node, ...]
    limit: int
    after: tuple[Dependency, ...]


@dataclass(slots=True)
class LoopNest:
    """The loops in an outermost loop, as they are found."""

    loops: list[InnerLoop] = field(default_factory=list)

    def keep(self, after: Sequence[Dependency]) -> tuple[Dependency, ...]:
        """Those of some dependencies that are loops in here: they stand for no node of the outer loop."""
        names = {one.name for one in self.loops}
        return tuple(one for one in after if one.step in names)

    def place(self, outer: LoopNode | None, after: tuple[Dependency, ...], claim: Callable[[str], str]) -> list[Node]:
        """The loops beside the outermost one.

        :param outer: the outermost loop with its own tasks; None if it has none.
        :param after: what all of them wait for.
        :param claim: claims a name for a node.
        :raises NotCarriedError: they are not independent of each other.
        """
        home = {inner.name: outer.name for inner in iter_nodes(outer.nodes)} if outer is not None else {}
        for loop in self.loops:
            home.update({inner.name: loop.name for inner in iter_nodes(loop.nodes)})
        names = {loop.name for loop in self.loops}
        bodies = [(loop.name, loop.nodes) for loop in self.loops]
        if outer is not None:
            bodies.append((outer.name, outer.nodes))
        for own, nodes in bodies:
            for node in (inner for one in nodes for inner in iter_nodes((one,))):
                if {dependency.step for dependency in node.after} & names:
                    raise NotCarriedError(f"{node.source} waits for a loop in the loop that it stands in")
                if any(home.get(name, own) != own for name in find_named_nodes(node)):
                    raise NotCarriedError(f"{node.source} reads what a loop around its own gives for each item")
        placed: list[Node] = []
        for loop in self.loops:
            if _find_reads(loop.levels) & home.keys():
                raise NotCarriedError(f"{loop.source} repeats for what a task of the loop around it gives")
            nodes = _guard(loop, claim)
            if any(home.get(name, loop.name) != loop.name for node in nodes for name in find_named_nodes(node)):
                raise NotCarriedError(f"{loop.source} depends on what a loop around it gives for each item")
            waits = tuple(dict.fromkeys(Dependency(home.get(one.step, one.step)) for one in loop.after)) or after
            items = claim(f"{loop.name}-items")
            fields = cast("list[JsonValue]", sorted(_find_fields(nodes)))
            levels: JsonObject = {"levels": cast("JsonValue", list(loop.levels)), "fields": fields}
            placed.append(OperatorNode(items, loop.source, _COMBINE, levels, waits))
            got: JsonObject = {"Get": f"Tasks.{items}"}
            placed.append(LoopNode(loop.name, loop.source, got, nodes, loop.limit, (Dependency(items),)))
        return placed


def _find_reads(levels: Sequence[JsonObject]) -> set[str]:
    probe = OperatorNode("probe", "", "", {"levels": cast("JsonValue", list(levels))})
    return set(find_named_nodes(probe))


def _find_fields(nodes: Sequence[Node]) -> set[str]:
    """What the tasks of a loop read of its items."""
    prefix = "ForEach.CurrentItem."
    values = (value for node in iter_nodes(tuple(nodes)) for value in find_own_values(node))
    texts = (text for value in values for _, text in iter_gets(value))
    return {text.removeprefix(prefix) for text in texts if text.startswith(prefix)}


def _guard(loop: InnerLoop, claim: Callable[[str], str]) -> tuple[Node, ...]:
    """The loop's tasks in the choices that stand around the loop, tested for each item."""
    nodes = loop.nodes
    for guard in reversed(loop.guards):
        branches = [Branch(tests) for tests in guard[:-1]]
        name = claim(f"{loop.name}-if")
        if guard[-1]:
            branches += [Branch(guard[-1], nodes), Branch(())]
        else:
            branches.append(Branch((), nodes))
        nodes = (ChoiceNode(name, loop.source, tuple(branches)),)
    return nodes
