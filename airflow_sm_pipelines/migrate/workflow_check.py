"""Holds a workflow against what planning needs: unique names, references to nodes that run before, and no circles."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.node_references import (
    find_named_nodes,
    find_own_values,
    iter_gets,
    parse_node_reference,
)
from airflow_sm_pipelines.migrate.workflow import (
    FUNCTIONS,
    ChoiceNode,
    LoopNode,
    PipelineStepNode,
    TryNode,
    iter_blocks,
    iter_nodes,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonValue
    from airflow_sm_pipelines.migrate.workflow import Node, Workflow

_NAMESPACES = ("Parameters", "Steps", "Tasks", "Errors", "Input", "Execution", "ForEach")


def check_workflow(workflow: Workflow) -> None:
    """Refuse a workflow that no plan can be made of.

    :raises MigrationError: with the node and its place in the source.
    """
    known: dict[str, Node] = {}
    for node in iter_nodes(workflow.nodes):
        if node.name in known:
            raise _fault(node, f"the name {node.name!r} is taken by {known[node.name].source}. Names must be unique.")
        known[node.name] = node
    parameters = {one.name for one in workflow.parameters}
    _check_block(workflow.nodes, {}, known, parameters, in_loop=False)


def _check_block(
    nodes: tuple[Node, ...],
    around: Mapping[str, Node],
    known: Mapping[str, Node],
    parameters: set[str],
    *,
    in_loop: bool,
) -> None:
    """Check a block.

    :param around: the nodes of the blocks around it that may be waited for.
    """
    own = {node.name: node for node in nodes}
    reachable = {**around, **own}
    for node in nodes:
        for dependency in node.after:
            if dependency.step not in reachable:
                raise _fault(node, _explain_after(dependency.step, known, reachable))
        _check_values(node, known, parameters, in_loop=in_loop)
    _refuse_circles(nodes)
    _refuse_joined_handlers(nodes)
    for node in nodes:
        others = {name: one for name, one in reachable.items() if name != node.name}
        for block in iter_blocks(node):
            inside = in_loop or isinstance(node, LoopNode)
            _check_block(block, others, known, parameters, in_loop=inside)


def _explain_after(name: str, known: Mapping[str, Node], reachable: Mapping[str, Node]) -> str:
    if name in known:
        return f"it waits for {name!r}, which stands inside another node: wait for that one."
    return f"it waits for {name!r}, but no node is called so.{suggest(name, reachable)}"


def _check_values(node: Node, known: Mapping[str, Node], parameters: set[str], *, in_loop: bool) -> None:
    for value in find_own_values(node):
        for _, text in iter_gets(value):
            problem = _explain_reference(text, node, known, parameters, in_loop=in_loop)
            if problem:
                raise _fault(node, f"it refers to {text!r}, {problem}")
        for name in _iter_functions(value):
            if name not in FUNCTIONS:
                raise _fault(
                    node, f"there is no function {name!r}; those are {list_names(sorted(FUNCTIONS), limit=20)}."
                )


def _explain_reference(text: str, node: Node, known: Mapping[str, Node], parameters: set[str], *, in_loop: bool) -> str:
    """What is wrong with a reference; empty for nothing."""
    namespace = re.split(r"[.\[]", text, maxsplit=1)[0]
    if namespace not in _NAMESPACES:
        return f"which begins with none of {list_names(_NAMESPACES, limit=20)}."
    name = text.partition(".")[2]
    if namespace == "Parameters" and name not in parameters:
        return f"but the workflow has no parameter {name!r}.{suggest(name, parameters)}"
    if namespace == "ForEach" and not (in_loop or isinstance(node, LoopNode)):
        return "but it stands in no loop."
    reference = parse_node_reference(text)
    if reference is not None:
        return _explain_node(reference, node, known)
    return ""


def _explain_node(reference: tuple[str, str, str], node: Node, known: Mapping[str, Node]) -> str:
    namespace, name, _ = reference
    other = known.get(name)
    if other is None:
        return f"but no node is called {name!r}.{suggest(name, known)}"
    if other.name == node.name or other.name in {inner.name for inner in iter_nodes((node,))} - {node.name}:
        return "which is the node itself, or stands inside it."
    is_try = isinstance(other, TryNode)
    if (namespace == "Errors") is not is_try:
        return f"but {name!r} is {'' if is_try else 'no '}work whose failure is handled."
    if namespace == "Steps" and not isinstance(other, PipelineStepNode):
        return f"but {name!r} is no pipeline step."
    if namespace == "Tasks" and isinstance(other, (PipelineStepNode, ChoiceNode, LoopNode)):
        return f"but {name!r} is no task."
    return ""


def _iter_functions(value: JsonValue) -> Iterator[str]:
    if isinstance(value, dict):
        body = value.get("Std:Function")
        if isinstance(body, dict):
            yield str(body.get("Name"))
        for item in value.values():
            yield from _iter_functions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _iter_functions(item)


def _refuse_circles(nodes: tuple[Node, ...]) -> None:
    """Refuse nodes of a block that wait for each other."""
    inside = {inner.name: node.name for node in nodes for inner in iter_nodes((node,))}
    waits = {
        node.name: {inside[name] for name in find_named_nodes(node) if name in inside} - {node.name} for node in nodes
    }
    left = dict(waits)
    while left:
        ready = [name for name, others in left.items() if not others & left.keys()]
        if not ready:
            circle = _find_circle(left)
            first = next(node for node in nodes if node.name == circle[0])
            raise _fault(first, f"these nodes wait for each other: {' → '.join([*circle, circle[0]])}.")
        for name in ready:
            del left[name]


def _find_circle(waits: Mapping[str, set[str]]) -> list[str]:
    path = [min(waits)]
    while True:
        following = min(waits[path[-1]] & waits.keys())
        if following in path:
            return path[path.index(following) :]
        path.append(following)


def _refuse_joined_handlers(nodes: tuple[Node, ...]) -> None:
    """Refuse a node that waits for a node's success and for what handles its failure: it would never run."""
    handled = {node.name: {one.step for one in node.after if one.trigger == "Failed"} for node in nodes}
    for node in nodes:
        waited_for = {one.step for one in node.after if one.trigger == "Completed"}
        for name in sorted(waited_for):
            if handled.get(name, set()) & waited_for:
                raise _fault(
                    node,
                    f"it waits both for {name!r}, which runs after a failure, and for the node that may fail: it would "
                    "never run. Make the work and its handler a TryNode, and wait for that.",
                )


def _fault(node: Node, problem: str) -> MigrationError:
    return MigrationError(f"{node.source} ({node.name}): {problem}")
