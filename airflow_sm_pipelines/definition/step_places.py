"""Where the steps of a definition stand in its document."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.steps import ConditionStep, ForEachStep, Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition.json_value import JsonPath
    from airflow_sm_pipelines.definition.pipeline import PipelineDefinition


def iter_step_places(definition: PipelineDefinition) -> Iterator[tuple[JsonPath, Step]]:
    """Every step with its path, those in branches and in ForEach bodies included, outer before inner."""
    stack = _reversed(("Steps",), definition.steps)
    while stack:
        path, step = stack.pop()
        yield path, step
        inner: list[tuple[JsonPath, Step]] = []
        if isinstance(step, ConditionStep):
            inner = _reversed((*path, "Arguments", "ElseSteps"), step.else_steps)
            inner += _reversed((*path, "Arguments", "IfSteps"), step.if_steps)
        elif isinstance(step, ForEachStep):
            inner = _reversed((*path, "Arguments", "ForEachBody"), step.body)
        stack.extend(inner)


def _reversed(path: JsonPath, steps: tuple[Step, ...]) -> list[tuple[JsonPath, Step]]:
    return [((*path, index), step) for index, step in enumerate(steps)][::-1]
