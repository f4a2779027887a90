"""The references in the JSON of nodes: which nodes they name, and putting others in their place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition.expressions import is_candidate, iter_candidates
from airflow_sm_pipelines.definition.json_value import copy_json
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, LoopNode, MissingNode, StepNode, iter_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.workflow import Node

_NODE = re.compile(r"(Steps|Tasks)\.([A-Za-z0-9_-]+)(.*)\Z", re.DOTALL)


def parse_node_reference(text: str) -> tuple[str, str, str] | None:
    """What a ``Get`` says of a node: ``("Steps", "Train", ".ModelArtifacts.S3ModelArtifacts")``; None for another."""
    match = _NODE.match(text)
    return None if match is None else (match[1], match[2], match[3])


def iter_gets(value: JsonValue) -> Iterator[tuple[JsonPath, str]]:
    """The text of every ``Get`` with its path, those inside of functions too."""
    for path, candidate in iter_candidates(value):
        text = candidate.get("Get")
        if isinstance(text, str):
            yield path, text


def replace_expressions(value: JsonValue, replace: Callable[[JsonObject, JsonPath], JsonValue | None]) -> JsonValue:
    """A copy of a value with other expressions.

    :param replace: given each expression, outer before inner, and its path; what it gives takes the expression's
        place, None leaves it and goes on inside.
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


def own_values(node: Node) -> list[JsonValue]:
    """The JSON of a node itself that may hold references; not that of the nodes inside."""
    if isinstance(node, StepNode):
        return [node.arguments, node.members]
    if isinstance(node, ChoiceNode):
        return [cast("JsonValue", condition) for branch in node.branches for condition in branch.conditions]
    if isinstance(node, LoopNode):
        return [node.items]
    return [] if isinstance(node, MissingNode) else [node.arguments]


def named_nodes(node: Node) -> set[str]:
    """The nodes that a node and those inside it wait for or read."""
    names = {dependency.step for dependency in node.after}
    for value in own_values(node):
        for _, text in iter_gets(value):
            reference = parse_node_reference(text)
            if reference is not None:
                names.add(reference[1])
    for block in iter_blocks(node):
        for inner in block:
            names |= named_nodes(inner)
    return names
