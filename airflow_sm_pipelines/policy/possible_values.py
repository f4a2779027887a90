"""The values that a part of a definition can have when its step runs, as far as the definition tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import Missing, ParameterReference, parse_expression

if TYPE_CHECKING:
    from airflow_sm_pipelines.definition import JsonValue, PipelineDefinition


@dataclass(frozen=True, slots=True)
class PossibleValues:
    """The values that are known to be possible.

    :param values: the literal itself, or a parameter's enumeration, or else the parameter's default.
    :param parameter: the parameter that the value comes from; ``None`` if it comes from none.
    :param is_open: whether an execution can bring other values.
    """

    values: tuple[JsonValue, ...]
    parameter: str | None = None
    is_open: bool = False


def find_possible_values(value: JsonValue, definition: PipelineDefinition) -> PossibleValues:
    """Find what ``value`` can be when the step runs."""
    expression = parse_expression(value)
    if expression is None:
        return PossibleValues((value,))
    if isinstance(expression, ParameterReference):
        parameter = definition.parameter(expression.name)
        if parameter.enum_values:
            return PossibleValues(parameter.enum_values, parameter.name)
        default = parameter.default
        known = () if isinstance(default, Missing) or default is None else (default,)
        return PossibleValues(known, parameter.name, is_open=True)
    return PossibleValues((), is_open=True)
