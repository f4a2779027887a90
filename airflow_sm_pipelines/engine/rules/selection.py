"""Selective execution: whether steps may be selected, and what they need from a source execution.

Source: developer guide, "Selective execution of pipeline steps", and recorded refusals. Choices where these say nothing
are in docs/engine.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition.status import StepStatus
from airflow_sm_pipelines.engine.rules.errors import validation_error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_sm_pipelines.definition import StepGraph


def check_selection(graph: StepGraph, selected: Iterable[str], *, source_arn: str | None) -> None:
    """Check that these steps may be selected.

    :raises ServiceError: the pipeline does not have one of them, steps between them are left out, or they depend on
        other steps and there is no source execution.
    """
    chosen = list(dict.fromkeys(selected))
    unknown = [name for name in chosen if name not in graph.nodes]
    if unknown:
        raise validation_error(f"SelectedSteps names steps the pipeline does not have: {', '.join(unknown)}.")
    needed = needed_steps(graph, chosen)
    between = [name for name in needed if name not in chosen and needed_steps(graph, [name]) & set(chosen)]
    if between:
        raise validation_error(
            f"Steps between selected steps must be selected too: {', '.join(sorted(between))}."
            f" Selected: {', '.join(chosen)}."
        )
    if needed and source_arn is None:
        raise validation_error(
            f"Invalid SourcePipelineExecutionArn: null. The selected steps [{', '.join(chosen)}] have dependencies on"
            f" [{', '.join(sorted(needed))}]."
        )


def needed_steps(graph: StepGraph, selected: Iterable[str]) -> set[str]:
    """The steps outside a selection that it depends on, directly or through others."""
    chosen = set(selected)
    needed: set[str] = set()
    work = list(chosen)
    while work:
        for name in graph.nodes[work.pop()].waits_for:
            if name not in needed:
                needed.add(name)
                work.append(name)
    return needed - chosen


def check_source(graph: StepGraph, selected: Iterable[str], statuses: Mapping[str, StepStatus]) -> tuple[str, ...]:
    """The steps to take over from a source execution.

    :param statuses: the statuses of the steps in the source execution.
    :raises ServiceError: a step that the selection depends on directly did not succeed there.
    """
    chosen = set(selected)
    direct = {name for step in chosen for name in graph.nodes[step].waits_for} - chosen
    missing = sorted(name for name in direct if statuses.get(name) is not StepStatus.SUCCEEDED)
    if missing:
        raise validation_error(
            f"The selected steps need steps that did not succeed in the source execution: {', '.join(missing)}."
        )
    needed = needed_steps(graph, chosen)
    return tuple(name for name in graph.order if name in needed and statuses.get(name) is StepStatus.SUCCEEDED)
