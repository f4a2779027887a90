"""What steps say about each other and about parameters, checked against what is there.

Only what SageMaker cannot accept is a problem here. The limits of the service and the shapes of its calls are checked
by the ``policy`` layer, which may know botocore.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.graph import find_cycles, iter_cleanup_sources, iter_edges, iter_placed_steps
from airflow_sm_pipelines.definition.json_value import JsonPath, format_path
from airflow_sm_pipelines.definition.problems import ProblemCollector, list_names, suggest
from airflow_sm_pipelines.definition.references import (
    Scope,
    check_expressions,
    describe_unknown_step,
    find_output_names,
)
from airflow_sm_pipelines.definition.steps import ForEachStep, Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition

NOT_IN_BODY = ("Condition", "Fail", "ForEach")


def check_steps(definition: PipelineDefinition, step_paths: Mapping[int, JsonPath], problems: ProblemCollector) -> None:
    """Note every problem between the steps of a definition.

    :param step_paths: where each step stands, by the object's id.
    """
    placed = [(step, step_paths[id(step)], parent) for step, parent, _ in iter_placed_steps(definition)]
    steps = _check_names(placed, step_paths, problems)
    bodies = {
        body_step.name: step.name
        for step, _, _ in placed
        if isinstance(step, ForEachStep)
        for body_step in step.body
        if body_step.name
    }
    parameters = tuple(parameter.name for parameter in definition.parameters)
    scope = Scope(parameters, steps, bodies)
    for key, config in (
        ("PipelineExperimentConfig", definition.experiment_config),
        ("MlflowConfig", definition.mlflow_config),
    ):
        check_expressions(config, (key,), f"{key!r}", scope, problems)
    for step, path, _ in placed:
        _check_step(step, path, scope, problems)
        if isinstance(step, ForEachStep):
            _check_for_each(step, step_paths, scope, problems)
    _check_cycles(placed, step_paths, problems)


def _check_names(
    placed: list[tuple[Step, JsonPath, str | None]], step_paths: Mapping[int, JsonPath], problems: ProblemCollector
) -> dict[str, Step]:
    """The steps by name; two of one name are a problem, in branches and bodies too."""
    steps: dict[str, Step] = {}
    first: dict[str, JsonPath] = {}
    bodies: dict[str, JsonPath] = {}
    for step, path, _ in placed:
        group = [(step, path, True)]
        if isinstance(step, ForEachStep):
            group += [(body_step, step_paths[id(body_step)], False) for body_step in step.body]
        for member, place, is_runnable in group:
            if not member.name:
                continue
            if member.name in first:
                problems.add(
                    (*place, "Name"),
                    f"the name {member.name!r} is taken by the step at {format_path(first[member.name])}. Step names "
                    "must be unique in the whole pipeline, in branches and ForEach bodies too: rename one.",
                )
                continue
            first[member.name] = place
            if is_runnable:
                steps[member.name] = member
            else:
                bodies[member.name] = place
    for name in steps:
        match = re.fullmatch(r"(?P<body>.+)-\d+", name)
        if match and match.group("body") in bodies:
            problems.add(
                (*first[name], "Name"),
                f"the name {name!r} is what the ForEach body step {match.group('body')!r} calls one of its iterations: "
                "rename one of the two.",
            )
    return steps


def _check_step(step: Step, path: JsonPath, scope: Scope, problems: ProblemCollector) -> None:
    called = f"step {step.name!r}"
    for index, dependency in enumerate(step.depends_on):
        place = (*path, "DependsOn", index)
        _check_dependency(dependency.step, place, f"{called} depends on", scope, problems)
    if step.type == "Cleanup":
        for inner, name in iter_cleanup_sources(step):
            _check_dependency(name, (*path, *inner), f"{called} cleans up", scope, problems)
    for inner, operand in step.iter_operands():
        is_selector = isinstance(step, ForEachStep) and inner == ("Arguments", "Selector")
        here = scope
        if is_selector and isinstance(step, ForEachStep):
            names = tuple(body_step.name for body_step in step.body)
            here = Scope(scope.parameters, scope.steps, scope.elsewhere, scope.body, names)
        check_expressions(operand, (*path, *inner), called, here, problems)
    _check_property_files(step, path, problems)


def _check_property_files(step: Step, path: JsonPath, problems: ProblemCollector) -> None:
    outputs = find_output_names(step)
    if outputs is None:
        return
    for index, file in enumerate(step.property_files):
        if file.output_name and file.output_name not in outputs:
            problems.add(
                (*path, "PropertyFiles", index, "OutputName"),
                f"the property file {file.name!r} is to stand in the output {file.output_name!r}, but step "
                f"{step.name!r} has no such output; it has {list_names(outputs)}.{suggest(file.output_name, outputs)}",
            )


def _check_for_each(
    step: ForEachStep, step_paths: Mapping[int, JsonPath], scope: Scope, problems: ProblemCollector
) -> None:
    names = frozenset(body_step.name for body_step in step.body)
    inside = Scope(
        scope.parameters,
        {**scope.steps, **{body_step.name: body_step for body_step in step.body if body_step.name}},
        {name: owner for name, owner in scope.elsewhere.items() if name not in names},
        names,
    )
    for body_step in step.body:
        path = step_paths[id(body_step)]
        if body_step.type in NOT_IN_BODY:
            problems.add(
                (*path, "Type"),
                f"a {body_step.type} step may not stand in the body of the ForEach step {step.name!r}: move it out.",
            )
        else:
            _check_step(body_step, path, inside, problems)


def _check_dependency(name: str, path: JsonPath, what: str, scope: Scope, problems: ProblemCollector) -> None:
    upstream = scope.steps.get(name)
    if upstream is None:
        problems.add(path, f"{what} {name!r}, but {describe_unknown_step(name, scope)}")
    elif upstream.type == "Fail":
        problems.add(path, f"{what} {name!r}, which is a Fail step and ends the execution: nothing can follow it.")


def _check_cycles(
    placed: list[tuple[Step, JsonPath, str | None]], step_paths: Mapping[int, JsonPath], problems: ProblemCollector
) -> None:
    waits_for: dict[str, dict[str, str]] = {}
    paths: dict[str, JsonPath] = {}
    for step, path, parent in _with_bodies(placed, step_paths):
        if not step.name or step.name in waits_for:
            continue
        paths[step.name] = path
        reasons: dict[str, str] = {}
        if parent:
            reasons[parent] = f"{step.name!r} is in a branch of {parent!r}"
        for edge in iter_edges(step):
            verb = "depends on" if edge.is_explicit else "refers to"
            place = format_path((*path, *edge.path))
            reasons.setdefault(edge.upstream, f"{step.name!r} {verb} {edge.upstream!r} at {place}")
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


def _with_bodies(
    placed: list[tuple[Step, JsonPath, str | None]], step_paths: Mapping[int, JsonPath]
) -> Iterator[tuple[Step, JsonPath, str | None]]:
    for step, path, parent in placed:
        yield step, path, parent
        if isinstance(step, ForEachStep):
            for body_step in step.body:
                yield body_step, step_paths[id(body_step)], None
