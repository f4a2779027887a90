"""Where the steps of a definition stand: each step with its path in the document and the step that holds it.

Whoever visits the steps inside other steps does it with :func:`iter_places`. Which step waits for which is in
:mod:`graph`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from airflow_sm_pipelines.definition.problems import list_names, suggest
from airflow_sm_pipelines.definition.steps import ConditionStep, ForEachStep, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition.json_value import JsonPath
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition


@dataclass(frozen=True, slots=True)
class StepPlace:
    """A step and where it stands.

    :param path: the step's path in the document: ``("Steps", 2, "Arguments", "IfSteps", 0)``.
    :param parent: the Condition or ForEach step that holds it; ``None`` for an outermost step.
    :param branch: in which part of the parent it stands; ``None`` for an outermost step.
    :param is_template: whether it stands in a ForEach body: executions run copies of it, never the step itself.
    """

    step: Step
    path: JsonPath
    parent: Step | None = None
    branch: Literal["If", "Else", "Body"] | None = None
    is_template: bool = False


def iter_places(definition: PipelineDefinition) -> Iterator[StepPlace]:
    """Every step, those in branches and ForEach bodies included: depth first, a step before those it holds."""
    stack = [StepPlace(step, ("Steps", index)) for index, step in enumerate(definition.steps)][::-1]
    while stack:
        place = stack.pop()
        yield place
        stack.extend([*_iter_children(place)][::-1])


def iter_step_places(definition: PipelineDefinition) -> Iterator[tuple[JsonPath, Step]]:
    """Every step with its path, in the order of :func:`iter_places`."""
    for place in iter_places(definition):
        yield place.path, place.step


def find_step_problem(definition: PipelineDefinition, name: str) -> str | None:
    """What is wrong with the name of a step, as a sentence; None if an execution of the pipeline can run it.

    :param name: as executions call it: a step in a ForEach body is run as ``<name>-<number of the item>``.
    """
    places = list(iter_places(definition))
    names = [place.step.name for place in places]
    if name in names:
        return None
    stem, _, number = name.rpartition("-")
    if number.isdecimal() and any(place.is_template and place.step.name == stem for place in places):
        return None
    hint = suggest(name, names) or f" It has {list_names(names, limit=20)}."
    return f"The pipeline has no step '{name}'.{hint}"


def _iter_children(place: StepPlace) -> Iterator[StepPlace]:
    step, path = place.step, (*place.path, "Arguments")
    if isinstance(step, ConditionStep):
        for index, child in enumerate(step.if_steps):
            yield StepPlace(child, (*path, "IfSteps", index), step, "If", place.is_template)
        for index, child in enumerate(step.else_steps):
            yield StepPlace(child, (*path, "ElseSteps", index), step, "Else", place.is_template)
    elif isinstance(step, ForEachStep):
        for index, child in enumerate(step.body):
            yield StepPlace(child, (*path, "ForEachBody", index), step, "Body", is_template=True)
