"""The references in the JSON of nodes: which node each names, what it may name, and how another takes its place."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, cast

from airflow_sm_pipelines.definition import MISSING, Missing
from airflow_sm_pipelines.definition.expressions import is_candidate, iter_candidates
from airflow_sm_pipelines.definition.json_value import copy_json
from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.exceptions import MigrationError
from airflow_sm_pipelines.migrate.workflow import (
    FUNCTIONS,
    CallNode,
    ChoiceNode,
    InputField,
    LoopNode,
    OperatorNode,
    PipelineStepNode,
    TryNode,
    ValueNode,
    WaitNode,
    iter_blocks,
    iter_nodes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.workflow import Node, Workflow

_NODE = re.compile(r"(Steps|Tasks|Errors)\.([A-Za-z0-9_-]+)(.*)\Z", re.DOTALL)
_WORD = re.compile(r"[A-Za-z0-9_-]+")


def parse_node_reference(text: str) -> tuple[str, str, str] | None:
    """The parts of a ``Get`` that names a node: ``("Steps", "Train", ".ModelArtifacts.S3ModelArtifacts")``.

    :return: None for a ``Get`` that names something else.
    """
    match = _NODE.match(text)
    return None if match is None else (match[1], match[2], match[3])


def find_read_text(expression: JsonObject) -> str:
    """The text of the ``Get`` that names what an expression reads: its own, or that of ``Std:JsonGet``'s file."""
    text = expression.get("Get")
    if text is None:
        text = _find_member(_find_member(expression.get("Std:JsonGet"), "PropertyFile"), "Get")
    return text if isinstance(text, str) else ""


def find_json_path(expression: JsonObject) -> str | None:
    """Where ``Std:JsonGet`` reads in its file; None for another expression."""
    body = expression.get("Std:JsonGet")
    return str(_find_member(body, "Path")) if isinstance(body, dict) else None


def find_last_word(expression: JsonObject) -> str:
    """The word to name a value after: the last one of its path, ``value`` of ``Steps.Score.Outputs['value']``."""
    path = find_json_path(expression)
    text = find_read_text(expression) if path is None else path
    words = _WORD.findall(text)
    if words:
        return str(words[-1])
    gets = [text for _, text in iter_gets(expression)]
    return find_last_word({"Get": gets[0]}) if gets else "value"


def _find_member(value: JsonValue, key: str) -> JsonValue:
    return value.get(key) if isinstance(value, dict) else None


def iter_gets(value: JsonValue) -> Iterator[tuple[JsonPath, str]]:
    """The text of every ``Get``, also inside functions, with its path."""
    for path, candidate in iter_candidates(value):
        text = candidate.get("Get")
        if isinstance(text, str):
            yield path, text


def replace_expressions(value: JsonValue, replace: Callable[[JsonObject, JsonPath], JsonValue | None]) -> JsonValue:
    """A copy of a value with some of its expressions replaced.

    :param replace: called with each expression, outer before inner, and its path. What it returns takes the
        expression's place; None keeps the expression and looks inside it.
    """
    return _replace(value, (), replace)


def _replace(
    value: JsonValue, path: JsonPath, replace: Callable[[JsonObject, JsonPath], JsonValue | None]
) -> JsonValue:
    if isinstance(value, dict):
        if is_candidate(value):
            found = replace(value, path)
            if found is not None:
                return found
        return {key: _replace(item, (*path, key), replace) for key, item in value.items()}
    if isinstance(value, list):
        return [_replace(item, (*path, index), replace) for index, item in enumerate(value)]
    return copy_json(value)


def find_own_values(node: Node) -> list[JsonValue]:
    """The JSON of a node that may hold references, without that of the nodes inside it."""
    if isinstance(node, PipelineStepNode):
        return [node.arguments, node.members]
    if isinstance(node, ChoiceNode):
        return [cast("JsonValue", condition) for branch in node.branches for condition in branch.conditions]
    if isinstance(node, LoopNode):
        return [node.items]
    if isinstance(node, WaitNode):
        return [node.seconds, node.until]
    if isinstance(node, ValueNode):
        return [node.value]
    if isinstance(node, CallNode) and node.repeat is not None:
        return [node.arguments, node.repeat.until]
    return [node.arguments] if isinstance(node, (CallNode, OperatorNode)) else []


def is_input(text: str) -> bool:
    """Whether the text of a ``Get`` names the document that a run is given, or a part of it."""
    return text == "Input" or text.startswith(("Input[", "Input."))


def find_needed_inputs(value: JsonValue) -> list[str]:
    """The members of the input that a value needs; those that may be missing are not needed."""
    if isinstance(value, list):
        return [name for item in value for name in find_needed_inputs(item)]
    if not isinstance(value, dict):
        return []
    function = value.get("Std:Function")
    if "Std:First" in value or (isinstance(function, dict) and function.get("Name") in ("Find", "Jsonata")):
        return []
    text = value.get("Get")
    if len(value) == 1 and isinstance(text, str) and is_input(text):
        match = re.match(r"Input(?:\.([A-Za-z_]\w*)|\['([^']*)'\])", text)
        return [match[1] or match[2]] if match else []
    return [name for item in value.values() for name in find_needed_inputs(item)]


def find_inputs(nodes: tuple[Node, ...], sample: JsonObject) -> tuple[InputField, ...]:
    """The members of the input that nodes read.

    :param sample: an input that has their defaults.
    """
    found: dict[str, JsonValue | Literal[Missing.MISSING]] = {}
    values = [value for node in iter_nodes(nodes) for value in find_own_values(node)]
    for name in (name for value in values for name in find_needed_inputs(value)):
        found[name] = sample.get(name, MISSING)
    if any(text == "Input" for value in values for _, text in iter_gets(value)):
        found |= sample
    return tuple(InputField(name, default) for name, default in found.items())


def is_for_airflow(expression: JsonObject) -> bool:
    """Whether Airflow must work an expression out, because a definition has no such thing."""
    return "Std:First" in expression or "Std:Function" in expression


def make_function(name: str, *arguments: JsonValue) -> JsonObject:
    """An expression that Airflow works out; ``name`` is one of :data:`workflow.FUNCTIONS`."""
    return {"Std:Function": {"Name": name, "Arguments": list(arguments)}}


def find_airflow_reads(node: Node) -> set[str]:
    """The nodes whose values are read inside expressions that Airflow must work out, by a node or inside it."""
    names: set[str] = set()
    for value in find_own_values(node):
        for _, expression in iter_candidates(value):
            if is_for_airflow(expression):
                names |= {found[1] for _, text in iter_gets(expression) if (found := parse_node_reference(text))}
    for block in iter_blocks(node):
        for inner in block:
            names |= find_airflow_reads(inner)
    return names


def has_tests(conditions: Iterable[JsonObject]) -> bool:
    """Whether some of the conditions, or one inside them, is a test that only Airflow can make."""
    for condition in conditions:
        inner = [condition["Condition"]] if "Condition" in condition else condition.get("Conditions")
        if condition.get("Type") == "Test" or has_tests(cast("list[JsonObject]", inner or [])):
            return True
    return False


def find_named_nodes(node: Node) -> set[str]:
    """The nodes that a node, or a node inside it, waits for or reads."""
    names = {dependency.step for dependency in node.after}
    for value in find_own_values(node):
        for _, text in iter_gets(value):
            reference = parse_node_reference(text)
            if reference is not None:
                names.add(reference[1])
    for block in iter_blocks(node):
        for inner in block:
            names |= find_named_nodes(inner)
    return names


def drop_unread_results(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
    """The nodes without the results of loops that nothing reads; a loop in which nothing else is done keeps its."""
    read = find_read_nodes(nodes)
    return tuple(_drop_unread(node, read) for node in nodes)


def find_read_nodes(nodes: tuple[Node, ...]) -> set[str]:
    """The names of the nodes whose results others read."""
    return {
        reference[1]
        for node in iter_nodes(nodes)
        for value in find_own_values(node)
        for _, text in iter_gets(value)
        if (reference := parse_node_reference(text)) is not None
    }


def _drop_unread(node: Node, read: set[str]) -> Node:
    def drop(nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        return tuple(_drop_unread(one, read) for one in nodes)

    if isinstance(node, ChoiceNode):
        return replace(node, branches=tuple(replace(one, nodes=drop(one.nodes)) for one in node.branches))
    if isinstance(node, TryNode):
        return replace(node, nodes=drop(node.nodes), handler=drop(node.handler), otherwise=drop(node.otherwise))
    if not isinstance(node, LoopNode):
        return node
    kept = drop(node.nodes)
    if node.result and node.name not in read and len(kept) > 1:
        return replace(node, nodes=tuple(one for one in kept if one.name != node.result), result="")
    return replace(node, nodes=kept)


# --- what a workflow must hold ---------------------------------------------------------------------------------------

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
    if namespace == "Answer" and isinstance(node, CallNode) and node.repeat is not None:
        return ""
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
    if namespace == "Tasks" and isinstance(other, LoopNode) and not other.result:
        return f"but {name!r} is a loop whose items give no result."
    if namespace == "Tasks" and isinstance(other, (PipelineStepNode, ChoiceNode)):
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
