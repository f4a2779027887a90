"""A pipeline as lines of text: each step with its type, what it waits for, and what it did in an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ConditionStep, ForEachStep, build_graph
from airflow_sm_pipelines.render.labels import BRANCH_LABELS, format_detail, format_run_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition import PipelineDefinition, Step, StepGraph
    from airflow_sm_pipelines.render.step_runs import StepRun


def render_outline(definition: PipelineDefinition, *, runs: Sequence[StepRun] = (), now: datetime | None = None) -> str:
    """The steps in an order in which they can run, with the branches of a condition below it.

    :param runs: the steps of an execution; their status and duration are added.
    :param now: the end of the time of a step that still runs.
    """
    graph = build_graph(definition)
    rows = list(_iter_rows(definition.steps, graph, ""))
    if not rows:
        return "No steps."
    ran: dict[str, list[StepRun]] = {}
    for run in runs:
        ran.setdefault(run.name, []).append(run)
    name_width = max(len(name) for name, _, _ in rows)
    type_width = max(len(step.type) for _, step, _ in rows)
    lines = []
    for name, step, is_body in rows:
        notes = []
        if runs:
            notes.append(_format_runs(ran.get(step.name, []), now))
        upstream = () if is_body else tuple(item.step for item in graph.nodes[step.name].upstream)
        if upstream:
            notes.append(f"after {', '.join(upstream)}")
        detail = format_detail(step)
        if detail and not isinstance(step, ForEachStep):
            notes.append(f"if {detail}")
        lines.append(f"{name:<{name_width}}  {step.type:<{type_width}}  {'; '.join(notes)}".rstrip())
    return "\n".join(lines)


def _iter_rows(steps: Sequence[Step], graph: StepGraph, indent: str) -> Iterator[tuple[str, Step, bool]]:
    """Each step with its name as shown, and whether it is in the body of a ForEach step."""
    position = {name: index for index, name in enumerate(graph.order)}
    for step in sorted(steps, key=lambda step: position[step.name]):
        yield from _iter_rows_of_step(step, f"{indent}{step.name}", graph, indent)


def _iter_rows_of_step(step: Step, shown: str, graph: StepGraph, indent: str) -> Iterator[tuple[str, Step, bool]]:
    yield shown, step, False
    if isinstance(step, ConditionStep):
        position = {name: index for index, name in enumerate(graph.order)}
        for branch, steps in step.branches:
            for inner in sorted(steps, key=lambda inner: position[inner.name]):
                yield from _iter_rows_of_step(
                    inner, f"{indent}  {BRANCH_LABELS[branch]}: {inner.name}", graph, f"{indent}  "
                )
    elif isinstance(step, ForEachStep):
        for inner in step.body:
            yield f"{indent}  each: {inner.name}", inner, True


def _format_runs(runs: Sequence[StepRun], now: datetime | None) -> str:
    if not runs:
        return "did not run"
    if len(runs) > 1:
        statuses = [run.status for run in runs]
        return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    run = runs[0]
    spent = format_run_time(run, now)
    how = f" {spent}" if run.is_cached else f" in {spent}" if spent else ""
    return f"{run.status}{how}{f': {run.failure_reason}' if run.failure_reason else ''}"
