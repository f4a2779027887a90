"""The values that a part of a definition can have when its step runs, as far as the definition tells.

Literals, defaults and enumerations of parameters, joins, items of ForEach steps, and what a step's own request says of
the property that another step reads. What is left is :class:`Unknown`, with the name to allow it by.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, TypeAlias

from airflow_sm_pipelines.definition import (
    ForEachReference,
    ForEachStep,
    Join,
    JsonGet,
    Missing,
    ParameterReference,
    PropertyFileReference,
    StepReference,
    parse_expression,
)
from airflow_sm_pipelines.definition.expressions import is_expression
from airflow_sm_pipelines.definition.property_path import PropertyNotFoundError, walk_path, walk_step_property
from airflow_sm_pipelines.definition.step_places import iter_places
from airflow_sm_pipelines.exceptions import DefinitionError
from airflow_sm_pipelines.service_model import STEP_CALLS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition import Expression, JsonValue, PipelineDefinition, Step
    from airflow_sm_pipelines.definition.property_path import PropertyPath

MAX_ALTERNATIVES = 400
"""How many values of one place are looked at; with more, the place counts as unknown."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that the definition does not tell.

    :param name: what it comes from, as a ``Get`` names it: ``Parameters.InputData``, ``Steps.A.OutputParameters.n``.
    """

    name: str

    @property
    def parameter(self) -> str | None:
        """The pipeline parameter that it is; ``None`` for anything else."""
        return self.name.removeprefix("Parameters.") if self.name.startswith("Parameters.") else None


Text: TypeAlias = "tuple[str | Unknown, ...]"
"""A text of which parts are not known."""


@dataclass(frozen=True, slots=True)
class PossibleValues:
    """What a place can hold.

    :param values: the values that are known.
    :param texts: the others: texts with gaps, or nothing but a gap.
    :param parameters: the pipeline parameters that they come from.
    """

    values: tuple[JsonValue, ...]
    texts: tuple[Text, ...] = ()
    parameters: tuple[str, ...] = ()

    @property
    def unknowns(self) -> tuple[Unknown, ...]:
        """The gaps of all texts, each once."""
        return tuple(dict.fromkeys(part for text in self.texts for part in text if isinstance(part, Unknown)))


@dataclass(frozen=True, slots=True)
class _Alternative:
    """One value: known, or a text with gaps."""

    value: JsonValue = None
    text: Text = ()

    @property
    def parts(self) -> Text:
        return self.text or (_write(self.value),)


def _write(value: JsonValue) -> str:
    """A value as ``Std:Join`` writes it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _gap(name: object) -> list[_Alternative]:
    return [_Alternative(text=(Unknown(str(name)),))]


class ValueFinder:
    """Finds what the parts of one definition can be.

    :param given: values of parameters that are fixed, as an execution gives them; a parameter that is not given has
        its default or any value that it allows.
    """

    def __init__(self, definition: PipelineDefinition, given: Mapping[str, JsonValue] | None = None) -> None:
        self._definition = definition
        self._given = given or {}
        self._parameters = {parameter.name: parameter for parameter in definition.parameters}
        self._steps: dict[str, Step] = {}
        self._loops: dict[str, ForEachStep] = {}
        for place in iter_places(definition):
            self._steps.setdefault(place.step.name, place.step)
            loop = place.parent if isinstance(place.parent, ForEachStep) else None
            if loop is None and place.parent is not None:
                loop = self._loops.get(place.parent.name)
            if loop is not None:
                self._loops[place.step.name] = loop

    def find(self, value: JsonValue, step: Step | None = None) -> PossibleValues:
        """What ``value`` can be when the step runs.

        :param step: the step that it belongs to: it may be the body of a loop.
        """
        found = self._find(value, step.name if step else "", ())
        values = [item.value for item in found if not item.text]
        parameters = tuple(dict.fromkeys(_list_parameters(value)))
        return PossibleValues(tuple(values), tuple(item.text for item in found if item.text), parameters)

    def _find(self, value: JsonValue, step: str, seen: tuple[str, ...]) -> list[_Alternative]:
        if not is_expression(value):
            return [_Alternative(value)]
        try:
            expression = parse_expression(value)
        except DefinitionError:
            expression = None
        if expression is None or len(seen) > 50:
            return _gap("a malformed expression")
        return self._find_expression(expression, step, seen)

    def _find_expression(self, expression: Expression, step: str, seen: tuple[str, ...]) -> list[_Alternative]:
        if isinstance(expression, ParameterReference):
            return self._find_parameter(expression.name)
        if isinstance(expression, Join):
            return self._find_join(expression, step, seen)
        if isinstance(expression, StepReference):
            return self._find_property(expression, (*seen, str(expression)))
        if isinstance(expression, ForEachReference):
            return self._find_item(expression, step, seen)
        if isinstance(expression, JsonGet):
            source = expression.source
            return _gap(source if isinstance(source, PropertyFileReference) else "Std:JsonGet")
        return _gap(expression)

    def _find_parameter(self, name: str) -> list[_Alternative]:
        if name in self._given:
            return [_Alternative(self._given[name])]
        parameter = self._parameters.get(name)
        if parameter is not None and parameter.enum_values:
            return [_Alternative(value) for value in parameter.enum_values]
        default = parameter.default if parameter is not None else None
        known = [] if isinstance(default, Missing) or default is None else [_Alternative(default)]
        return [*known, *_gap(f"Parameters.{name}")]

    def _find_join(self, join: Join, step: str, seen: tuple[str, ...]) -> list[_Alternative]:
        choices = [self._find(item, step, seen) for item in join.values]
        count = 1
        for choice in choices:
            count *= len(choice)
        if count > MAX_ALTERNATIVES:
            gaps = [Unknown(f"Parameters.{name}") for item in join.values for name in _list_parameters(item)]
            return [_Alternative(text=tuple(gaps) or (Unknown("Std:Join"),))]
        return [_join(join.on, chosen) for chosen in product(*choices)]

    def _find_property(self, reference: StepReference, seen: tuple[str, ...]) -> list[_Alternative]:
        """What a step's own request says of its property: Describe shows the request again."""
        name, path = reference.step, reference.path
        if path[:1] == ("IterationOutputs",) and len(path) > 2:
            name, path = str(path[2]), path[3:]
        step = self._steps.get(name)
        if step is None or not _is_requested(step, path) or seen.count(str(reference)) > 1:
            return _gap(reference)
        below = _WRITTEN_BELOW.get(path[:2]) or _WRITTEN_BELOW.get(path[:1])
        try:
            found: JsonValue = walk_step_property(step.arguments, below or path)
        except PropertyNotFoundError:
            return _gap(reference)
        if found is None or (isinstance(found, (dict, list)) and not is_expression(found)):
            return _gap(reference)
        alternatives = self._find(found, name, seen)
        if below is None:
            return alternatives
        return [_Alternative(text=(*item.parts, "/", Unknown(str(reference)))) for item in alternatives]

    def _find_item(self, reference: ForEachReference, step: str, seen: tuple[str, ...]) -> list[_Alternative]:
        loop = self._loops.get(step)
        if loop is None:
            return _gap(reference)
        found = []
        for item in self._list_items(loop, seen):
            if item.text:
                found.append(item)
            else:
                found += self._find_in_item(item.value, reference, loop.name, seen)
        return found or _gap(reference)

    def _list_items(self, loop: ForEachStep, seen: tuple[str, ...]) -> list[_Alternative]:
        """The items of a loop; a text with gaps where the list itself is not known."""
        if isinstance(loop.items, list):
            return [found for item in loop.items for found in self._find(item, loop.name, seen)]
        found = []
        for listed in self._find(loop.items, loop.name, seen):
            items = _read_json(listed.value) if not listed.text else None
            if isinstance(items, list):
                found += [_Alternative(item) for item in items]
            else:
                found += [listed] if listed.text else _gap(f"Steps.{loop.name}.IterableItems")
        return found

    def _find_in_item(
        self, item: JsonValue, reference: ForEachReference, loop: str, seen: tuple[str, ...]
    ) -> list[_Alternative]:
        if not reference.path:
            return self._find(item, loop, seen)
        try:
            inner: JsonValue = walk_path(_read_json(item) if isinstance(item, str) else item, reference.path)
        except PropertyNotFoundError:
            return _gap(reference)
        return self._find(inner, loop, seen)


_WRITTEN_BELOW: dict[PropertyPath, PropertyPath] = {
    ("ModelArtifacts", "S3ModelArtifacts"): ("OutputDataConfig", "S3OutputPath"),
    ("CalculatedBaselineConstraints",): ("ProcessingOutputConfig", "Outputs", 0, "S3Output", "S3Uri"),
    ("CalculatedBaselineStatistics",): ("ProcessingOutputConfig", "Outputs", 0, "S3Output", "S3Uri"),
}
"""Properties that lie below an address of the request. Source: developer guide, "Step properties"."""


def _is_requested(step: Step, path: PropertyPath) -> bool:
    """Whether a property of a step is a member of its request, or lies below one."""
    call = STEP_CALLS.get(step.type)
    operation = call.find_operation() if call else None
    shape = operation.input_shape if operation else None
    return shape is not None and (path[0] in shape.members or path[:1] in _WRITTEN_BELOW or path[:2] in _WRITTEN_BELOW)


def _join(separator: str, chosen: tuple[_Alternative, ...]) -> _Alternative:
    parts: list[str | Unknown] = []
    for index, item in enumerate(chosen):
        for part in ((separator,) if index else ()) + item.parts:
            if isinstance(part, str) and parts and isinstance(parts[-1], str):
                parts[-1] += part
            else:
                parts.append(part)
    if all(isinstance(part, str) for part in parts):
        return _Alternative("".join(map(str, parts)))
    return _Alternative(text=tuple(parts))


def _read_json(value: JsonValue) -> JsonValue:
    try:
        read: JsonValue = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return read


def _list_parameters(value: JsonValue) -> list[str]:
    """The parameters that an expression names itself."""
    try:
        expression = parse_expression(value)
    except DefinitionError:
        return []
    if isinstance(expression, ParameterReference):
        return [expression.name]
    return (
        [name for item in expression.values for name in _list_parameters(item)] if isinstance(expression, Join) else []
    )
