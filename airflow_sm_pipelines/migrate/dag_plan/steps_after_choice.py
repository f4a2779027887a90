"""What comes after a choice, moved into its branches: a pipeline cannot go on after a condition, whichever way it went.

Only where a whole choice and all that follows it are steps; elsewhere the choice stays, to be made in Airflow. What
several branches go on with is copied, so that each has steps of its own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.definition.checks import NOT_IN_BODY
from airflow_sm_pipelines.migrate.references import named_nodes, parse_node_reference, replace_expressions
from airflow_sm_pipelines.migrate.workflow import Branch, ChoiceNode, LoopNode, Node, StepNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.names import Names

MAX_COPIED_NODES = 40
"""More copies than this make a pipeline that nobody can read: the choice is then made in Airflow."""


def is_steps_only(node: Node) -> bool:
    """Whether a pipeline can do all of a node."""
    if isinstance(node, ChoiceNode):
        return all(is_steps_only(inner) for branch in node.branches for inner in branch.nodes)
    if isinstance(node, LoopNode):
        return all(isinstance(inner, StepNode) and inner.type not in NOT_IN_BODY for inner in node.nodes)
    return isinstance(node, StepNode)


def ends_in_fail(nodes: Sequence[Node]) -> bool:
    """Whether a block always ends the workflow, other than after a failure that it takes care of."""
    after_failure: set[str] = set()
    for node in nodes:
        if any(one.trigger != "Completed" or one.step in after_failure for one in node.after):
            after_failure.add(node.name)
        elif isinstance(node, ChoiceNode):
            if all(ends_in_fail(branch.nodes) for branch in node.branches):
                return True
        elif isinstance(node, StepNode) and node.type == "Fail":
            return True
    return False


def absorb_tails(nodes: tuple[Node, ...], names: Names) -> tuple[tuple[Node, ...], dict[str, str]]:
    """A block in which no choice of steps only is followed by steps only.

    :param names: of the workflow, to claim those of copies from.
    :return: the block, and the originals' names by the names of their copies.
    """
    copies: dict[str, str] = {}
    return _absorb(nodes, names, copies), copies


def _absorb(nodes: tuple[Node, ...], names: Names, copies: dict[str, str]) -> tuple[Node, ...]:
    block = [_within(node, names, copies) for node in nodes]
    # From the last choice on: what it takes in may itself be taken in by an earlier one.
    for choice in [node for node in block if isinstance(node, ChoiceNode)][::-1]:
        tail = _find_tail(block, choice.name)
        if not tail:
            continue
        absorbed = _take_in(choice, tail, names, copies)
        if absorbed is not None:
            moved = {node.name for node in tail}
            block = [absorbed if node.name == choice.name else node for node in block if node.name not in moved]
    return tuple(block)


def _within(node: Node, names: Names, copies: dict[str, str]) -> Node:
    if isinstance(node, ChoiceNode):
        branches = (replace(branch, nodes=_absorb(branch.nodes, names, copies)) for branch in node.branches)
        return replace(node, branches=tuple(branches))
    if isinstance(node, LoopNode):
        return replace(node, nodes=_absorb(node.nodes, names, copies))
    return node


def _find_tail(block: Sequence[Node], choice: str) -> list[Node]:
    """The nodes of the block that come after the choice or read what its branches made."""
    inside = next({inner.name for inner in iter_nodes((node,))} for node in block if node.name == choice)
    reached, tail = set(inside), []
    for node in block:
        if node.name != choice and named_nodes(node) & reached:
            tail.append(node)
            reached.update(inner.name for inner in iter_nodes((node,)))
    return tail


def _take_in(choice: ChoiceNode, tail: Sequence[Node], names: Names, copies: dict[str, str]) -> ChoiceNode | None:
    if not is_steps_only(choice) or not all(map(is_steps_only, tail)):
        return None
    going_on = [index for index, branch in enumerate(choice.branches) if not ends_in_fail(branch.nodes)]
    if not going_on:
        return None
    if len(going_on) > 1:
        size = sum(1 for _ in iter_nodes(tuple(tail)))
        inner = {node.name for branch in choice.branches for node in iter_nodes(branch.nodes)}
        is_read = any(named_nodes(node) & inner for node in tail)
        # What one branch made is not there in the copy for another.
        if is_read or size * (len(going_on) - 1) > MAX_COPIED_NODES:
            return None
    branches = list(choice.branches)
    for count, index in enumerate(going_on):
        taken = tuple(tail) if count == 0 else _copy(tail, names, copies)
        branch = branches[index]
        leaves = _leaves(branch.nodes)
        ends = tuple(Dependency(leaf) for leaf in leaves) if leaves else choice.after
        moved = tuple(_rewire(node, choice.name, ends) for node in taken)
        branches[index] = Branch(branch.conditions, (*branch.nodes, *moved))
    return replace(choice, branches=tuple(branches))


def _leaves(nodes: Sequence[Node]) -> list[str]:
    waited_for = {name for node in nodes for name in named_nodes(node)}
    return [node.name for node in nodes if node.name not in waited_for]


def _rewire(node: Node, choice: str, ends: tuple[Dependency, ...]) -> Node:
    after: dict[Dependency, None] = {}
    for dependency in node.after:
        after.update(dict.fromkeys(ends if dependency.step == choice else (dependency,)))
    return replace(node, after=tuple(after))


def _copy(nodes: Sequence[Node], names: Names, copies: dict[str, str]) -> tuple[Node, ...]:
    new_names = {node.name: names.claim(node.name) for node in iter_nodes(tuple(nodes))}
    copies.update({new: copies.get(old, old) for old, new in new_names.items()})
    return tuple(rename(node, new_names) for node in nodes)


def rename(node: Node, new_names: Mapping[str, str]) -> Node:
    """A node under a new name, with those inside it and all that it refers to."""

    def renamed(expression: JsonObject, _: JsonPath) -> JsonValue | None:
        reference = parse_node_reference(str(expression.get("Get", "")))
        if reference is None or reference[1] not in new_names:
            return None
        namespace, name, tail = reference
        return {"Get": f"{namespace}.{new_names[name]}{tail}"}

    def json(value: JsonObject) -> JsonObject:
        return cast("JsonObject", replace_expressions(value, renamed))

    after = tuple(Dependency(new_names.get(one.step, one.step), one.trigger) for one in node.after)
    name = new_names.get(node.name, node.name)
    if isinstance(node, StepNode):
        return replace(node, name=name, after=after, arguments=json(node.arguments), members=json(node.members))
    if isinstance(node, ChoiceNode):
        branches = tuple(
            Branch(tuple(map(json, branch.conditions)), tuple(rename(inner, new_names) for inner in branch.nodes))
            for branch in node.branches
        )
        return replace(node, name=name, after=after, branches=branches)
    if isinstance(node, LoopNode):
        inner = tuple(rename(one, new_names) for one in node.nodes)
        return replace(node, name=name, after=after, nodes=inner, items=replace_expressions(node.items, renamed))
    raise TypeError(f"{node.name}: only steps are copied")
