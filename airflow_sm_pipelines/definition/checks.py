"""Checks that the steps of a definition fit together: names, dependencies, references, ForEach bodies, cycles.

Everything found here makes SageMaker refuse the definition. The types of single fields are checked while they are read,
in :mod:`reader`. The limits of the service and the shapes of its calls are checked by the ``policy`` package, which may
know botocore.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
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
from airflow_sm_pipelines.definition.graph import find_cycles, iter_cleanup_sources, iter_edges
from airflow_sm_pipelines.definition.json_value import JsonPath, format_path
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest
from airflow_sm_pipelines.definition.step_places import iter_places
from airflow_sm_pipelines.definition.steps import ForEachStep, Step
from airflow_sm_pipelines.exceptions import DefinitionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.definition.json_value import JsonObject, JsonValue
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition
    from airflow_sm_pipelines.definition.step_places import StepPlace

NOT_IN_BODY = ("Condition", "Fail", "ForEach")
"""The step types that may not stand in the body of a ForEach step."""


@dataclass(frozen=True, slots=True)
class _KnownNames:
    """The names that an expression may use, seen from where it stands.

    :param parameters: the pipeline's parameters.
    :param steps: the steps by name.
    :param elsewhere: the steps of ForEach bodies that are out of reach, with the name of their ForEach step.
    :param body: the steps of the ForEach body around the expression; ``None`` outside of bodies.
    :param selector: the steps whose outputs a selector chooses from; ``None`` outside of selectors.
    """

    parameters: tuple[str, ...]
    steps: Mapping[str, Step]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    body: frozenset[str] | None = None
    selector: tuple[str, ...] | None = None


def check_steps(definition: PipelineDefinition, step_paths: Mapping[int, JsonPath], problems: ProblemCollector) -> None:
    """Note every problem between the steps of a definition.

    :param step_paths: the path of each step in the document, by the ``id`` of the step. In a broken document it may
        differ from the place in the model, because unreadable entries are left out.
    """
    places = [replace(place, path=step_paths[id(place.step)]) for place in iter_places(definition)]
    _check_names(places, problems)
    steps: dict[str, Step] = {}
    bodies: dict[str, str] = {}
    for place in places:
        if place.branch == "Body" and place.parent is not None:
            bodies.setdefault(place.step.name, place.parent.name)
        elif place.step.name and not place.is_template:
            steps.setdefault(place.step.name, place.step)
    known = _KnownNames(tuple(parameter.name for parameter in definition.parameters), steps, bodies)
    for key, config in (
        ("PipelineExperimentConfig", definition.experiment_config),
        ("MlflowConfig", definition.mlflow_config),
    ):
        _check_expressions(config, (key,), f"{key!r}", known, problems)
    for place in places:
        if not place.is_template:
            _check_step(place.step, place.path, known, problems)
            if isinstance(place.step, ForEachStep):
                _check_for_each(place.step, step_paths, known, problems)
    _check_cycles(places, problems)


def _check_names(places: Sequence[StepPlace], problems: ProblemCollector) -> None:
    first: dict[str, StepPlace] = {}
    for place in places:
        name = place.step.name
        if name in first:
            problems.add(
                (*place.path, "Name"),
                f"the name {name!r} is taken by the step at {format_path(first[name].path)}. Step names must be unique "
                "in the whole pipeline, in branches and ForEach bodies too: rename one.",
            )
        elif name:
            first[name] = place
    for name, place in first.items():
        match = None if place.is_template else re.fullmatch(r"(?P<body>.+)-\d+", name)
        if match and match.group("body") in first and first[match.group("body")].is_template:
            problems.add(
                (*place.path, "Name"),
                f"the name {name!r} is what the ForEach body step {match.group('body')!r} calls one of its iterations: "
                "rename one of the two.",
            )


def _check_step(step: Step, path: JsonPath, known: _KnownNames, problems: ProblemCollector) -> None:
    called = f"step {step.name!r}"
    for index, dependency in enumerate(step.depends_on):
        place = (*path, "DependsOn", index)
        _check_dependency(step.name, "depends on", dependency.step, place, known, problems)
        upstream = known.steps.get(dependency.step)
        if upstream is not None and upstream.type == "Condition":
            problems.add(
                place,
                f"{called} depends on {dependency.step!r}, which is a Condition step: SageMaker refuses that. Put the "
                "step into a branch, or let it depend on the steps that the Condition step waits for.",
            )
    if step.type == "Cleanup":
        for inner, name in iter_cleanup_sources(step):
            _check_dependency(step.name, "cleans up", name, (*path, *inner), known, problems)
    for inner, operand in step.iter_operands():
        is_selector = isinstance(step, ForEachStep) and inner == ("Arguments", "Selector")
        here = known
        if is_selector and isinstance(step, ForEachStep):
            names = tuple(body_step.name for body_step in step.body)
            here = _KnownNames(known.parameters, known.steps, known.elsewhere, known.body, names)
        _check_expressions(operand, (*path, *inner), called, here, problems)
    _check_property_files(step, path, problems)


def _check_property_files(step: Step, path: JsonPath, problems: ProblemCollector) -> None:
    outputs = _find_output_names(step)
    if outputs is None:
        return
    for index, file in enumerate(step.property_files):
        if file.output_name and file.output_name not in outputs:
            problems.add(
                (*path, "PropertyFiles", index, "OutputName"),
                f"the property file {file.name!r} belongs in the output {file.output_name!r}, but step "
                f"{step.name!r} has no such output; it has {list_names(outputs)}.{suggest(file.output_name, outputs)}",
            )


def _check_for_each(
    step: ForEachStep, step_paths: Mapping[int, JsonPath], known: _KnownNames, problems: ProblemCollector
) -> None:
    names = frozenset(body_step.name for body_step in step.body)
    inside = _KnownNames(
        known.parameters,
        {**known.steps, **{body_step.name: body_step for body_step in step.body if body_step.name}},
        {name: owner for name, owner in known.elsewhere.items() if name not in names},
        names,
    )
    for body_step in step.body:
        path = step_paths[id(body_step)]
        if body_step.type in NOT_IN_BODY:
            problems.add(
                (*path, "Type"),
                f"a {body_step.type} step is not allowed in the body of the ForEach step {step.name!r}: move it out.",
            )
        else:
            _check_step(body_step, path, inside, problems)


def _check_dependency(
    waiting: str, verb: str, name: str, path: JsonPath, known: _KnownNames, problems: ProblemCollector
) -> None:
    upstream = known.steps.get(name)
    if upstream is None:
        problems.add(path, f"step {waiting!r} {verb} {name!r}, but {_describe_unknown_step(name, known)}")
    elif upstream.type == "Fail":
        # The first words are the service's (aws/sagemaker-python-sdk, tests/integ, test_fail_steps).
        problems.add(path, f"{waiting} can not depends on {name}: a Fail step ends the execution, nothing follows it.")


def _check_cycles(places: Sequence[StepPlace], problems: ProblemCollector) -> None:
    waits_for: dict[str, dict[str, str]] = {}
    paths: dict[str, JsonPath] = {}
    for place in places:
        step = place.step
        if not step.name or step.name in waits_for:
            continue
        paths[step.name] = place.path
        reasons: dict[str, str] = {}
        if place.parent is not None and place.branch != "Body":
            reasons[place.parent.name] = f"{step.name!r} is in a branch of {place.parent.name!r}"
        for edge in iter_edges(step):
            verb = "depends on" if edge.is_explicit else "refers to"
            at = format_path((*place.path, *edge.path))
            reasons.setdefault(edge.upstream, f"{step.name!r} {verb} {edge.upstream!r} at {at}")
        waits_for[step.name] = reasons
    for cycle in find_cycles(waits_for):
        pairs = list(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
        because = "; ".join(waits_for[name][upstream] for name, upstream in pairs)
        if len(cycle) == 1:
            problems.add(paths[cycle[0]], f"step {cycle[0]!r} waits for itself: {because}. Remove that.")
        else:
            chain = " → ".join([*cycle, cycle[0]])
            problems.add(
                paths[cycle[0]],
                f"these steps wait for each other: {chain} ({because}). Remove one of these dependencies.",
            )


def _check_expressions(
    value: JsonValue, path: JsonPath, called: str, known: _KnownNames, problems: ProblemCollector
) -> None:
    """Note every malformed expression in a value, and every one that refers to something that is not there.

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
        if isinstance(expression, ParameterReference) and expression.name not in known.parameters:
            hint = suggest(expression.name, known.parameters) or f" It declares {list_names(known.parameters)}."
            message = f"but the pipeline declares no parameter {expression.name!r}.{hint}"
        elif isinstance(expression, StepReference):
            message = _check_step_reference(expression, known)
        elif isinstance(expression, PropertyFileReference):
            message = _check_property_file(expression, place, known)
        elif isinstance(expression, ForEachReference) and known.body is None:
            message = "but only the body of a ForEach step has a current item."
        elif isinstance(expression, IterationReference):
            message = _check_iteration(expression, known)
        if message:
            problems.add(place, f"{called} refers to {str(expression)!r}, {message}")


def _check_step_reference(reference: StepReference, known: _KnownNames) -> str | None:
    step = known.steps.get(reference.step)
    if step is None:
        return f"but {_describe_unknown_step(reference.step, known)}"
    if step.type in ("Fail", "Cleanup"):
        return f"but {reference.step!r} is a {step.type} step, which has no properties."
    path = reference.path
    key = path[-1] if len(path) == 1 else path[1]
    if step.type == "Processing" and path[:2] == ("ProcessingOutputConfig", "Outputs") and len(path) > 2:
        return _check_key(path[2], _find_output_names(step), f"step {step.name!r} has no output")
    if step.type == "Processing" and path[0] == "ProcessingInputs" and len(path) > 1:
        return _check_key(
            key, _list_names_in(step.arguments, ("ProcessingInputs",), "InputName"), f"step {step.name!r} has no input"
        )
    if step.type in ("Lambda", "Callback") and path[0] == "OutputParameters" and len(path) > 1:
        declared = tuple(output.name for output in step.output_parameters)
        return _check_key(key, declared, f"step {step.name!r} declares no output parameter")
    if isinstance(step, ForEachStep) and path[0] == "IterationOutputs" and len(path) > 2:
        return _check_key(path[2], tuple(body.name for body in step.body), f"the body of {step.name!r} has no step")
    return None


def _check_key(key: str | int, names: tuple[str, ...] | None, what: str) -> str | None:
    if names is None or not isinstance(key, str) or key in names:
        return None
    return f"but {what} {key!r}; there is {list_names(names)}.{suggest(key, names)}"


def _check_property_file(reference: PropertyFileReference, place: JsonPath, known: _KnownNames) -> str | None:
    step = known.steps.get(reference.step)
    if step is None:
        return f"but {_describe_unknown_step(reference.step, known)}"
    if step.property_file(reference.property_file) is None:
        files = [file.name for file in step.property_files]
        return (
            f"but step {step.name!r} declares no property file {reference.property_file!r}; it declares "
            f"{list_names(files)}.{suggest(reference.property_file, files)}"
        )
    if place[-2:] != ("Std:JsonGet", "PropertyFile"):
        return "but a property file is not a value: read a value from it with Std:JsonGet."
    return None


def _check_iteration(reference: IterationReference, known: _KnownNames) -> str | None:
    if known.selector is None:
        return "which is allowed only in 'Selector.Field' of a ForEach step."
    if reference.body_step not in known.selector:
        return (
            f"but the body has no step {reference.body_step!r}; it has {list_names(known.selector)}."
            f"{suggest(reference.body_step, known.selector)}"
        )
    return None


def _describe_unknown_step(name: str, known: _KnownNames) -> str:
    """Say, as the end of a sentence, why an expression cannot use this step name and which it can."""
    owner = known.elsewhere.get(name)
    if owner is not None:
        return (
            f"that step is in the body of the ForEach step {owner!r}: refer to "
            f"'Steps.{owner}.IterationOutputs[0].{name}...' or 'Steps.{owner}.Selected...'."
        )
    hint = suggest(name, known.steps) or f" The steps are {list_names(known.steps)}."
    return f"no step is called {name!r}.{hint}"


def _find_output_names(step: Step) -> tuple[str, ...] | None:
    """The names of a Processing step's outputs; ``None`` for other steps, and if an expression gives one of them."""
    if step.type != "Processing":
        return None
    return _list_names_in(step.arguments, ("ProcessingOutputConfig", "Outputs"), "OutputName")


def _list_names_in(arguments: JsonObject, path: tuple[str, ...], key: str) -> tuple[str, ...] | None:
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
