"""The references in the JSON of nodes: which node each names, and how others are put in their place."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition.expressions import is_candidate, iter_candidates
from airflow_sm_pipelines.definition.json_value import copy_json
from airflow_sm_pipelines.migrate.workflow import ChoiceNode, LoopNode, MissingNode, PipelineStepNode, iter_blocks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.workflow import Node

_NODE = re.compile(r"(Steps|Tasks)\.([A-Za-z0-9_-]+)(.*)\Z", re.DOTALL)
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
    words = _WORD.findall(text or json.dumps(expression, sort_keys=True))
    return words[-1] if words else "value"


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
    return [] if isinstance(node, MissingNode) else [node.arguments]


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
