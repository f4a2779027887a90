"""The forecast of the cache: which steps of a new definition would take an earlier result, and why others would not.

It assumes that the deployed definition has run with its defaults, successfully and recently enough for ``ExpireAfter``,
and that the next execution uses the defaults too. Which members of a step count is said by
:mod:`~airflow_sm_pipelines.definition.cache_identity`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition import (
    ExecutionReference,
    Join,
    JsonGet,
    Missing,
    ParameterReference,
    PropertyFileReference,
    StepReference,
    build_graph,
    diff_definitions,
    iter_expressions,
    parse_definition,
)
from airflow_sm_pipelines.definition.cache_identity import CACHE_FIELDS, select_cache_fields
from airflow_sm_pipelines.definition.json_value import format_path
from airflow_sm_pipelines.definition.property_path import find_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonValue, PipelineDefinition, Step


_STEADY_VARIABLES = ("PipelineName", "PipelineArn")
_EXPRESSION = re.compile(r"\.(?:Get|Std:Join|Std:JsonGet)\b|\['\((?:Get|Join|JsonGet)\)'\]")


@dataclass(frozen=True, slots=True)
class CacheForecast:
    """The forecast for one step.

    :param outcome: ``hit`` or ``miss``; ``off`` if the step does not ask for caching; ``unknown`` if AWS publishes no
        rules for its type.
    :param reasons: for a miss, the fields that cause it, a line each; for a hit, how recent the result must be.
    """

    step: str
    type: str
    outcome: Literal["hit", "miss", "off", "unknown"]
    reasons: tuple[str, ...] = ()


def forecast_cache(old: PipelineDefinition | None, new: PipelineDefinition) -> tuple[CacheForecast, ...]:
    """Forecast the cache for every step of a type that can be cached, in an order in which they can run.

    :param old: the deployed definition; ``None`` if there is none.
    :param new: the definition to be deployed.
    """
    known = {step.name: step for step in old.iter_steps()} if old else {}
    graph = build_graph(new)
    forecasts: dict[str, CacheForecast] = {}
    for name in graph.order:
        step = graph.nodes[name].step
        if step.type in CACHE_FIELDS or (step.cache_config and step.cache_config.enabled):
            forecasts[name] = _forecast(known.get(name), step, old, new, forecasts)
    return tuple(forecasts.values())


def _forecast(
    before: Step | None,
    step: Step,
    old: PipelineDefinition | None,
    new: PipelineDefinition,
    upstream: dict[str, CacheForecast],
) -> CacheForecast:
    if step.cache_config is None or not step.cache_config.enabled:
        return CacheForecast(step.name, step.type, "off", ("the step does not ask for caching",))
    if step.type not in CACHE_FIELDS:
        return CacheForecast(step.name, step.type, "unknown", ("what counts for this step type is not published",))
    if old is None:
        return CacheForecast(step.name, step.type, "miss", ("the pipeline has not run yet",))
    if before is None:
        return CacheForecast(step.name, step.type, "miss", ("the step is new",))
    if before.type != step.type:
        return CacheForecast(step.name, step.type, "miss", (f"the step was of the type {before.type}",))
    if before.cache_config is None or not before.cache_config.enabled:
        return CacheForecast(step.name, step.type, "miss", ("its results have not been cached so far",))
    reasons = tuple(dict.fromkeys([*_changed(before, step), *_unsteady(step, old, new, upstream)]))
    if reasons:
        return CacheForecast(step.name, step.type, "miss", reasons)
    expires = step.cache_config.expire_after
    return CacheForecast(step.name, step.type, "hit", (f"if it succeeded within {expires}",) if expires else ())


def _changed(before: Step, after: Step) -> Iterator[str]:
    """Name each field that counts and differs, down to the entry."""
    pair = [_only_fields(step) for step in (before, after)]
    prefix = f"Steps.{after.name}.Arguments."
    for change in diff_definitions(*pair):
        path = _cut(change.path.removeprefix(prefix).removeprefix(f"Steps.{after.name}."))
        yield f"{path} was {change.kind}"


def _only_fields(step: Step) -> PipelineDefinition:
    """A definition with only the fields of the step that count. Expressions become literals, so none is looked up."""
    arguments = _as_literal(select_cache_fields(step.type, step.arguments, step.attributes))
    return parse_definition({"Steps": [{"Name": step.name, "Type": step.type, "Arguments": arguments}]})


def _as_literal(value: JsonValue) -> JsonValue:
    if isinstance(value, list):
        return [_as_literal(item) for item in value]
    if isinstance(value, dict):
        names = {"Get": "(Get)", "Std:Join": "(Join)", "Std:JsonGet": "(JsonGet)"}
        return {names.get(key, key): _as_literal(item) for key, item in value.items()}
    return value


def _unsteady(
    step: Step, old: PipelineDefinition, new: PipelineDefinition, upstream: dict[str, CacheForecast]
) -> Iterator[str]:
    """Name each expression that is written the same, but would give another value in the next execution."""
    for place, expression in iter_expressions(select_cache_fields(step.type, step.arguments, step.attributes)):
        where = _cut(format_path(place))
        if isinstance(expression, ParameterReference):
            if _default(old, expression.name) != _default(new, expression.name):
                yield f"{where}: the default of parameter {expression.name!r} changed"
        elif isinstance(expression, ExecutionReference):
            if expression.variable not in _STEADY_VARIABLES:
                yield f"{where}: {expression} differs in every execution"
        elif isinstance(expression, JsonGet):
            source = expression.source
            if isinstance(source, PropertyFileReference) and not _is_hit(upstream, source.step):
                yield f"{where}: reads a property file of {source.step!r}, which runs again"
        elif isinstance(expression, StepReference) and not _is_steady(expression, old, new, upstream):
            yield f"{where}: {expression} comes from {expression.step!r}, which runs again"


def _cut(path: str) -> str:
    """The path without what belongs to an expression."""
    return _EXPRESSION.split(path, maxsplit=1)[0]


def _is_hit(upstream: dict[str, CacheForecast], name: str) -> bool:
    return name in upstream and upstream[name].outcome == "hit"


def _is_steady(
    reference: StepReference, old: PipelineDefinition, new: PipelineDefinition, upstream: dict[str, CacheForecast]
) -> bool:
    """Whether a property of a step will have the same value: the step is a hit, or its output has a fixed address."""
    if _is_hit(upstream, reference.step):
        return True
    places = [_find_output(definition, reference) for definition in (old, new)]
    if places[0] is None or places[0] != places[1]:
        return False
    for _, expression in iter_expressions(places[1]):
        if isinstance(expression, Join):  # its values are visited too
            continue
        if isinstance(expression, ParameterReference):
            if _default(old, expression.name) != _default(new, expression.name):
                return False
        elif not (isinstance(expression, ExecutionReference) and expression.variable in _STEADY_VARIABLES):
            return False
    return True


def _find_output(definition: PipelineDefinition, reference: StepReference) -> JsonValue:
    """The S3 address of a processing output, if that is what the reference reads; otherwise ``None``."""
    if reference.path[:2] != ("ProcessingOutputConfig", "Outputs") or reference.path[3:] != ("S3Output", "S3Uri"):
        return None
    step = next((step for step in definition.iter_steps() if step.name == reference.step), None)
    found: JsonValue = find_value(step.arguments, *reference.path) if step else None
    return found


def _default(definition: PipelineDefinition, name: str) -> JsonValue:
    default = next((parameter.default for parameter in definition.parameters if parameter.name == name), None)
    return None if isinstance(default, Missing) else default
