"""Moves the steps that come after a choice into its branches.

A pipeline has no step that runs after a condition whichever branch was taken. Steps are moved only if the whole choice
and all that follows it are steps; otherwise the choice stays as it is, and Airflow makes it. If several branches go
on, each gets a copy of the steps.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition import Dependency
from airflow_sm_pipelines.definition.checks import NOT_IN_BODY
from airflow_sm_pipelines.migrate.node_references import (
    find_airflow_reads,
    find_named_nodes,
    has_tests,
    iter_gets,
    parse_node_reference,
    replace_expressions,
)
from airflow_sm_pipelines.migrate.workflow import Branch, ChoiceNode, LoopNode, Node, PipelineStepNode, iter_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.names import ClaimedNames

MAX_COPIED_NODES = 40
"""With more copies a pipeline is too long to read: Airflow then makes the choice."""


def is_steps_only(node: Node) -> bool:
    """Whether a pipeline can do all of a node."""
    if isinstance(node, ChoiceNode):
        if find_airflow_reads(node) or any(has_tests(branch.conditions) for branch in node.branches):
            return False
        return all(is_steps_only(inner) for branch in node.branches for inner in branch.nodes)
    if isinstance(node, LoopNode):
        is_body = all(isinstance(inner, PipelineStepNode) and inner.type not in NOT_IN_BODY for inner in node.nodes)
        return is_body and not find_airflow_reads(node)
    return isinstance(node, PipelineStepNode)


def ends_in_fail(nodes: Sequence[Node]) -> bool:
    """Whether a block always ends the workflow with a ``Fail``. A ``Fail`` that handles a failure does not count."""
    after_failure: set[str] = set()
    for node in nodes:
        if any(one.trigger != "Completed" or one.step in after_failure for one in node.after):
            after_failure.add(node.name)
        elif isinstance(node, ChoiceNode):
            if all(ends_in_fail(branch.nodes) for branch in node.branches):
                return True
        elif isinstance(node, PipelineStepNode) and node.type == "Fail":
            return True
    return False


def move_steps_into_branches(nodes: tuple[Node, ...], names: ClaimedNames) -> tuple[tuple[Node, ...], dict[str, str]]:
    """A block in which no choice between steps is followed by steps only.

    :param names: of the workflow; the copies' names are claimed from them.
    :return: the block, and for each copy's name the name of its original.
    """
    copies: dict[str, str] = {}
    return _move(nodes, names, copies, is_in_loop=False), copies


def _move(
    nodes: tuple[Node, ...], names: ClaimedNames, copies: dict[str, str], *, is_in_loop: bool
) -> tuple[Node, ...]:
    block = [_move_inside(node, names, copies, is_in_loop=is_in_loop) for node in nodes]
    # From the last choice to the first: a choice that took steps in may itself follow an earlier choice.
    for choice in [node for node in block if isinstance(node, ChoiceNode)][::-1]:
        following = _find_following(block, choice.name)
        if not following:
            continue
        extended = _extend_branches(choice, following, names, copies, is_in_loop=is_in_loop)
        if extended is not None:
            moved = {node.name for node in following}
            block = [extended if node.name == choice.name else node for node in block if node.name not in moved]
    return tuple(block)


def _move_inside(node: Node, names: ClaimedNames, copies: dict[str, str], *, is_in_loop: bool) -> Node:
    if isinstance(node, ChoiceNode):
        branches = (
            replace(branch, nodes=_move(branch.nodes, names, copies, is_in_loop=is_in_loop)) for branch in node.branches
        )
        return replace(node, branches=tuple(branches))
    if isinstance(node, LoopNode):
        return replace(node, nodes=_move(node.nodes, names, copies, is_in_loop=True))
    return node


def _find_following(block: Sequence[Node], choice: str) -> list[Node]:
    """The nodes of the block that come after the choice or read a value that its branches made."""
    inside = next({inner.name for inner in iter_nodes((node,))} for node in block if node.name == choice)
    reached, following = set(inside), []
    for node in block:
        if node.name != choice and find_named_nodes(node) & reached:
            following.append(node)
            reached.update(inner.name for inner in iter_nodes((node,)))
    return following


def _extend_branches(
    choice: ChoiceNode,
    following: Sequence[Node],
    names: ClaimedNames,
    copies: dict[str, str],
    *,
    is_in_loop: bool,
) -> ChoiceNode | None:
    """The choice with the following steps in each branch that goes on; None if they cannot be moved.

    :param is_in_loop: whether Airflow cannot make the choice, since it is one of each item.
    """
    if not is_steps_only(choice) or not all(map(is_steps_only, following)):
        return None
    if any(one.step == choice.name and one.trigger != "Completed" for node in following for one in node.after):
        # It handles a failure anywhere in the choice. Inside a branch it would run after a success.
        return None
    going_on = [index for index, branch in enumerate(choice.branches) if not ends_in_fail(branch.nodes)]
    if not going_on:
        return None
    picked = [list(following) for _ in going_on]
    if len(going_on) > 1:
        size = sum(1 for _ in iter_nodes(tuple(following)))
        inner = {node.name for branch in choice.branches for node in iter_nodes(branch.nodes)}
        is_read = any(find_named_nodes(node) & inner for node in following)
        if size * (len(going_on) - 1) > MAX_COPIED_NODES:
            return None
        if is_read:
            # A value that one branch made does not exist in the copy for another branch.
            own = [{node.name for node in iter_nodes(choice.branches[index].nodes)} for index in going_on]
            picked = [[_pick(node, inner - names_here) for node in following] for names_here in own]
            is_wrong = any(
                find_named_nodes(node) & (inner - names_here)
                for nodes, names_here in zip(picked, own, strict=True)
                for node in nodes
            )
            if not is_in_loop or is_wrong:
                return None
    branches = list(choice.branches)
    for count, index in enumerate(going_on):
        taken = tuple(picked[count]) if count == 0 else _copy(picked[count], names, copies)
        branch = branches[index]
        last = _find_last_nodes(branch.nodes)
        ends = tuple(Dependency(name) for name in last) if last else choice.after
        moved = tuple(_replace_dependency(node, choice.name, ends) for node in taken)
        branches[index] = Branch(branch.conditions, (*branch.nodes, *moved))
    return replace(choice, branches=tuple(branches))


def _find_last_nodes(nodes: Sequence[Node]) -> list[str]:
    waited_for = {name for node in nodes for name in find_named_nodes(node)}
    return [node.name for node in nodes if node.name not in waited_for]


def _replace_dependency(node: Node, choice: str, ends: tuple[Dependency, ...]) -> Node:
    after: dict[Dependency, None] = {}
    for dependency in node.after:
        after.update(dict.fromkeys(ends if dependency.step == choice else (dependency,)))
    return replace(node, after=tuple(after))


def _copy(nodes: Sequence[Node], names: ClaimedNames, copies: dict[str, str]) -> tuple[Node, ...]:
    new_names = {node.name: names.claim(node.name) for node in iter_nodes(tuple(nodes))}
    copies.update({new: copies.get(old, old) for old, new in new_names.items()})
    return tuple(rename_nodes(node, new_names) for node in nodes)


def _pick(node: Node, others: set[str]) -> Node:
    """A copy of a node for one branch: of what any of several branches gives, it reads what this one does.

    :param others: the nodes of the other branches.
    """

    def picked(expression: JsonObject, _: JsonPath) -> JsonValue | None:
        values = expression.get("Std:First")
        if not isinstance(values, list):
            return None
        left = [value for value in values if not _find_names(value) & others]
        return left[0] if len(left) == 1 else None

    return _rewrite(node, {}, picked)


def _find_names(value: JsonValue) -> set[str]:
    references = (parse_node_reference(text) for _, text in iter_gets(value))
    return {reference[1] for reference in references if reference is not None}


def rename_nodes(node: Node, new_names: Mapping[str, str]) -> Node:
    """A copy of a node with new names for it, for the nodes inside it and in every reference to them."""

    def renamed(expression: JsonObject, _: JsonPath) -> JsonValue | None:
        reference = parse_node_reference(str(expression.get("Get", "")))
        if reference is None or reference[1] not in new_names:
            return None
        namespace, name, tail = reference
        return {"Get": f"{namespace}.{new_names[name]}{tail}"}

    return _rewrite(node, new_names, renamed)


def _rewrite(
    node: Node, new_names: Mapping[str, str], change: Callable[[JsonObject, JsonPath], JsonValue | None]
) -> Node:
    """A copy of a node with new names and changed expressions, in the nodes inside it as well."""

    def json(value: JsonObject) -> JsonObject:
        return cast("JsonObject", replace_expressions(value, change))

    after = tuple(Dependency(new_names.get(one.step, one.step), one.trigger) for one in node.after)
    name = new_names.get(node.name, node.name)
    if isinstance(node, PipelineStepNode):
        return replace(node, name=name, after=after, arguments=json(node.arguments), members=json(node.members))
    if isinstance(node, ChoiceNode):
        branches = tuple(
            Branch(
                tuple(map(json, branch.conditions)), tuple(_rewrite(inner, new_names, change) for inner in branch.nodes)
            )
            for branch in node.branches
        )
        return replace(node, name=name, after=after, branches=branches)
    if isinstance(node, LoopNode):
        inner = tuple(_rewrite(one, new_names, change) for one in node.nodes)
        return replace(node, name=name, after=after, nodes=inner, items=replace_expressions(node.items, change))
    raise TypeError(f"{node.name}: only steps are copied")
