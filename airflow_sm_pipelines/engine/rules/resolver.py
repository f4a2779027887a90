"""The values of expressions: parameters, execution variables, properties of finished steps, property files, joins.

Documents that are elsewhere (property files, S3 objects, the answers of jobs) come from functions of the scope.
Conditions are in ``condition_evaluation``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.definition import (
    ExecutionReference,
    ExperimentReference,
    ForEachReference,
    Join,
    JsonGet,
    ParameterReference,
    PropertyFileReference,
    StepReference,
    parse_expression,
)
from airflow_sm_pipelines.definition.property_path import (
    PropertyNotFoundError,
    parse_document_path,
    split_iteration,
    walk_path,
    walk_step_property,
)
from airflow_sm_pipelines.engine.rules.errors import ResolutionError
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.definition import Expression, JsonObject, JsonValue
    from airflow_sm_pipelines.definition.property_path import PropertyPath

_LISTED_CHARS = 200
"""How much of a Std:Join's values an error shows."""


@dataclass(frozen=True, slots=True)
class CurrentItem:
    """The item of the iteration of a ForEach step."""

    value: JsonValue


@dataclass(frozen=True, slots=True)
class ResolutionScope:
    """Everything that the expressions of one step may refer to.

    :param parameters: typed parameter values, including defaults.
    :param execution: execution variables by name; ``TrainingJobName`` is there only in a training step, and so on.
    :param experiment: ``ExperimentName`` and ``TrialName``, already resolved.
    :param describe_step: gives the properties of a finished step, which are the Describe answer of what it made; None
        if the step did not run in this execution.
    :param load_property_file: gives the parsed document of a property file, by step and property file name.
    :param load_document: gives the parsed JSON document at an S3 URI.
    :param item: the current item, inside a ForEach step.
    """

    parameters: Mapping[str, JsonValue]
    execution: Mapping[str, JsonValue]
    experiment: Mapping[str, JsonValue] = field(default_factory=dict)
    describe_step: Callable[[str], JsonObject | None] = lambda name: None
    load_property_file: Callable[[str, str], JsonValue] | None = None
    load_document: Callable[[str], JsonValue] | None = None
    item: CurrentItem | None = None


def resolve(value: JsonValue, scope: ResolutionScope) -> JsonValue:
    """Replace every expression in a value, at any depth, by what it stands for.

    :raises ResolutionError: an expression has no value; the first one is named.
    """
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    expression = parse_expression(value)
    if expression is None:
        return {key: resolve(item, scope) for key, item in value.items()}
    return _resolve_expression(expression, scope)


def _resolve_expression(expression: Expression, scope: ResolutionScope) -> JsonValue:
    if isinstance(expression, ParameterReference):
        return _lookup(scope.parameters, expression.name, "parameter")
    if isinstance(expression, ExecutionReference):
        return _lookup(scope.execution, expression.variable, "execution variable")
    if isinstance(expression, ExperimentReference):
        return _lookup(scope.experiment, expression.field, "experiment setting")
    if isinstance(expression, StepReference):
        return resolve_reference(expression, scope)
    if isinstance(expression, Join):
        return _join(expression, scope)
    if isinstance(expression, JsonGet):
        return _resolve_json_get(expression, scope)
    if isinstance(expression, ForEachReference) and scope.item is not None:
        return _resolve_item(expression, scope.item.value)
    if isinstance(expression, PropertyFileReference):
        raise ResolutionError(
            f"Property file '{expression.property_file}' of step '{expression.step}' can only be read by Std:JsonGet."
        )
    raise ResolutionError(f"{type(expression).__name__} has no value outside a ForEach step.")


def resolve_text(value: JsonValue, scope: ResolutionScope) -> str:
    """The resolved value as text, as ``Std:Join`` would write it."""
    return _text(resolve(value, scope))


def text_or_json(value: JsonValue) -> str:
    """A value as the API shows it: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _lookup(values: Mapping[str, JsonValue], name: str, kind: str) -> JsonValue:
    if name not in values:
        known = ", ".join(sorted(values)) or "none"
        raise ResolutionError(f"There is no {kind} '{name}' here. Known: {known}.")
    return values[name]


def resolve_reference(expression: StepReference, scope: ResolutionScope) -> JsonValue:
    """The property of a step.

    :raises ResolutionError: the step did not run, or has no such property.
    """
    step, path = _locate(expression, scope)
    properties = scope.describe_step(step)
    if properties is None:
        raise ResolutionError(f"Step '{step}' did not run in this execution, so it has no properties.")
    return _walk(walk_step_property, properties, path, where=f"Step '{step}'")


def _walk(walk: Callable[[Any, PropertyPath], Any], root: JsonValue, path: PropertyPath, *, where: str) -> JsonValue:
    try:
        found: JsonValue = walk(root, path)
    except PropertyNotFoundError as error:
        raise ResolutionError(f"{where} has {error}") from error
    return found


def _locate(expression: StepReference, scope: ResolutionScope) -> tuple[str, PropertyPath]:
    """The step whose properties are meant, and the path in them.

    A reference to an iteration of a ForEach step means the step that was made for its item.
    """
    path = expression.path
    iteration = split_iteration(path)
    if iteration is not None:
        return iteration
    if path[:1] == ("Selected",):
        selected = (scope.describe_step(expression.step) or {}).get("Selected")
        if isinstance(selected, str):
            return selected, path[1:]
    return expression.step, path


def _resolve_item(expression: ForEachReference, item: JsonValue) -> JsonValue:
    if not expression.path:
        # A whole item is a scalar: objects become JSON text, as in IterationContext.
        return text_or_json(item) if isinstance(item, (dict, list)) else item
    document = item
    if isinstance(item, str):
        try:
            document = json.loads(item)
        except ValueError as error:
            raise ResolutionError(f"'{expression}' looks into the item {item!r:.200}, which is not JSON.") from error
    return _walk(walk_path, document, expression.path, where=f"The current item {text_or_json(item)!r:.200}")


def _resolve_json_get(expression: JsonGet, scope: ResolutionScope) -> JsonValue:
    try:
        path = parse_document_path(expression.path)
    except DefinitionError as error:
        raise ResolutionError(f"Std:JsonGet has a malformed path: {error}") from error
    if isinstance(expression.source, PropertyFileReference):
        if scope.load_property_file is None:
            raise ResolutionError("Property files cannot be read here.")
        source = expression.source
        document = scope.load_property_file(source.step, source.property_file)
        where = f"Property file '{source.property_file}' of step '{source.step}'"
    else:
        if scope.load_document is None:
            raise ResolutionError("S3 documents cannot be read here.")
        uri = resolve_text(expression.source, scope)
        document = scope.load_document(uri)
        where = f"The JSON document '{uri}'"
    return _walk(walk_path, document, path, where=where)


def _join(expression: Join, scope: ResolutionScope) -> str:
    values = [resolve(part, scope) for part in expression.values]
    if None in values:
        listed = json.dumps(list(expression.values))
        raise ResolutionError(
            f"Value {values.index(None) + 1} of {len(values)} in Std:Join is null, and only text can be joined: "
            f"{listed if len(listed) <= _LISTED_CHARS else listed[:_LISTED_CHARS] + '...'}. "
            "Give it a value where the pipeline is made, or leave it out."
        )
    return expression.on.join(_text(value) for value in values)


def _text(value: JsonValue) -> str:
    """A value as ``Std:Join`` writes it: booleans in lower case, numbers as they are, lists and objects as JSON."""
    if value is None:
        raise ResolutionError("A null is where text is needed. Give it a value where the pipeline is made.")
    return text_or_json(value) if isinstance(value, (str, bool, list, dict)) else str(value)
