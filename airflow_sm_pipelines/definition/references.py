"""What expressions refer to, checked against what may be referred to from where they stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.expressions import (
    ForEachReference,
    IterationReference,
    ParameterReference,
    PropertyFileReference,
    StepReference,
    iter_candidates,
    parse_expression,
)
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest
from airflow_sm_pipelines.definition.steps import ForEachStep, Step
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonPath, JsonValue


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be referred to from a place.

    :param steps: the steps by name.
    :param body: the names of the ForEach body that the place stands in; ``None`` outside of bodies.
    :param selector: the body whose outputs a selector chooses from; ``None`` outside of selectors.
    """

    parameters: tuple[str, ...]
    steps: Mapping[str, Step]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    body: frozenset[str] | None = None
    selector: tuple[str, ...] | None = None


def check_expressions(value: JsonValue, path: JsonPath, called: str, scope: Scope, problems: ProblemCollector) -> None:
    """Note every expression in a value that is none, or that refers to what is not there.

    :param path: where the value stands.
    :param called: what messages call its owner: ``step 'Train'``.
    """
    for inner, candidate in iter_candidates(value):
        place = (*path, *inner)
        try:
            expression = parse_expression(candidate)
        except DefinitionError as error:
            problems.add(place, f"in {called}: {error}")
            continue
        message: str | None = None
        if isinstance(expression, ParameterReference) and expression.name not in scope.parameters:
            hint = suggest(expression.name, scope.parameters) or f" It declares {list_names(scope.parameters)}."
            message = f"but the pipeline declares no parameter {expression.name!r}.{hint}"
        elif isinstance(expression, StepReference):
            message = _check_step_reference(expression, scope)
        elif isinstance(expression, PropertyFileReference):
            message = _check_property_file(expression, place, scope)
        elif isinstance(expression, ForEachReference) and scope.body is None:
            message = "but there is a current item only in the body of a ForEach step."
        elif isinstance(expression, IterationReference):
            message = _check_iteration(expression, scope)
        if message:
            problems.add(place, f"{called} refers to {str(expression)!r}, {message}")


def _check_step_reference(reference: StepReference, scope: Scope) -> str | None:
    step = scope.steps.get(reference.step)
    if step is None:
        return f"but {describe_unknown_step(reference.step, scope)}"
    if step.type in ("Fail", "Cleanup"):
        return f"but {reference.step!r} is a {step.type} step, which has no properties."
    path = reference.path
    key = path[-1] if len(path) == 1 else path[1]
    if step.type == "Processing" and path[:2] == ("ProcessingOutputConfig", "Outputs") and len(path) > 2:
        return _check_key(path[2], find_output_names(step), f"step {step.name!r} has no output")
    if step.type == "Processing" and path[0] == "ProcessingInputs" and len(path) > 1:
        return _check_key(
            key, _names_in(step.arguments, ("ProcessingInputs",), "InputName"), f"step {step.name!r} has no input"
        )
    if step.type in ("Lambda", "Callback") and path[0] == "OutputParameters" and len(path) > 1:
        declared = tuple(output.name for output in step.output_parameters)
        return _check_key(key, declared, f"step {step.name!r} declares no output parameter")
    if isinstance(step, ForEachStep) and path[0] == "IterationOutputs" and len(path) > 2:
        return _check_key(path[2], tuple(body.name for body in step.body), f"the body of {step.name!r} has no step")
    return None


def _check_key(key: str | int, known: tuple[str, ...] | None, what: str) -> str | None:
    if known is None or not isinstance(key, str) or key in known:
        return None
    return f"but {what} {key!r}; there is {list_names(known)}.{suggest(key, known)}"


def _check_property_file(reference: PropertyFileReference, place: JsonPath, scope: Scope) -> str | None:
    step = scope.steps.get(reference.step)
    if step is None:
        return f"but {describe_unknown_step(reference.step, scope)}"
    if step.property_file(reference.property_file) is None:
        known = [file.name for file in step.property_files]
        return (
            f"but step {step.name!r} declares no property file {reference.property_file!r}; it declares "
            f"{list_names(known)}.{suggest(reference.property_file, known)}"
        )
    if place[-2:] != ("Std:JsonGet", "PropertyFile"):
        return "but a property file is no value: read one from it with Std:JsonGet."
    return None


def _check_iteration(reference: IterationReference, scope: Scope) -> str | None:
    if scope.selector is None:
        return "which stands in 'Selector.Field' of a ForEach step only."
    if reference.body_step not in scope.selector:
        return (
            f"but the body has no step {reference.body_step!r}; it has {list_names(scope.selector)}."
            f"{suggest(reference.body_step, scope.selector)}"
        )
    return None


def describe_unknown_step(name: str, scope: Scope) -> str:
    """Why no step of that name may be referred to, and which may: the end of a sentence."""
    owner = scope.elsewhere.get(name)
    if owner is not None:
        return (
            f"that step is in the body of the ForEach step {owner!r}: refer to "
            f"'Steps.{owner}.IterationOutputs[0].{name}...' or 'Steps.{owner}.Selected...'."
        )
    hint = suggest(name, scope.steps) or f" The steps are {list_names(scope.steps)}."
    return f"no step is called {name!r}.{hint}"


def find_output_names(step: Step) -> tuple[str, ...] | None:
    """The outputs of a Processing step; ``None`` for other steps, and where an expression hides a name."""
    if step.type != "Processing":
        return None
    return _names_in(step.arguments, ("ProcessingOutputConfig", "Outputs"), "OutputName")


def _names_in(arguments: JsonObject, path: tuple[str, ...], key: str) -> tuple[str, ...] | None:
    value: JsonValue = arguments
    for part in path:
        if not isinstance(value, dict) or (len(value) == 1 and "Get" in value):
            return None
        value = value.get(part)
    if value is None:
        return ()
    if not isinstance(value, list):
        return None
    names = []
    for item in value:
        name = item.get(key) if isinstance(item, dict) else None
        if not isinstance(name, str):
            return None
        names.append(name)
    return tuple(names)
