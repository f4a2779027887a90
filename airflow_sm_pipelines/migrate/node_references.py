"""The references in the JSON of nodes: which node each names, and how others are put in their place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from airflow_sm_pipelines.definition.expressions import is_candidate, iter_candidates
from airflow_sm_pipelines.definition.json_value import copy_json
from airflow_sm_pipelines.migrate.workflow import (
    CallNode,
    ChoiceNode,
    LoopNode,
    OperatorNode,
    PipelineStepNode,
    WaitNode,
    iter_blocks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_sm_pipelines.definition import JsonObject, JsonPath, JsonValue
    from airflow_sm_pipelines.migrate.workflow import Node

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
        return words[-1]
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
    return [node.arguments] if isinstance(node, (CallNode, OperatorNode)) else []


def is_input(text: str) -> bool:
    """Whether the text of a ``Get`` names the document that a run is given, or a part of it."""
    return text == "Input" or text.startswith(("Input[", "Input."))


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
