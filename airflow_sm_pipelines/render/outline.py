"""A pipeline as lines of text: each step with its type, what it waits for, and how it fared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import ConditionStep, ForEachStep, build_graph
from airflow_sm_pipelines.render.labels import BRANCH_LABELS, describe_detail, format_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition import PipelineDefinition, Step, StepGraph
    from airflow_sm_pipelines.render.step_runs import StepRun


def render_outline(definition: PipelineDefinition, *, runs: Sequence[StepRun] = (), now: datetime | None = None) -> str:
    """The steps in an order in which they can run, the branches of a condition under it.

    :param runs: the steps of an execution; their status and duration are added.
    :param now: up to when a step has run that still does.
    """
    graph = build_graph(definition)
    rows = list(_rows(definition.steps, graph, ""))
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
            notes.append(_fate(ran.get(step.name, []), now))
        upstream = () if is_body else tuple(item.step for item in graph.nodes[step.name].upstream)
        if upstream:
            notes.append(f"after {', '.join(upstream)}")
        detail = describe_detail(step)
        if detail and not isinstance(step, ForEachStep):
            notes.append(f"if {detail}")
        lines.append(f"{name:<{name_width}}  {step.type:<{type_width}}  {'; '.join(notes)}".rstrip())
    return "\n".join(lines)


def _rows(steps: Sequence[Step], graph: StepGraph, indent: str) -> Iterator[tuple[str, Step, bool]]:
    """Each step with its name as it is shown, and whether it stands in the body of a ForEach step."""
    position = {name: index for index, name in enumerate(graph.order)}
    for step in sorted(steps, key=lambda step: position[step.name]):
        yield from _row(step, f"{indent}{step.name}", graph, indent)


def _row(step: Step, shown: str, graph: StepGraph, indent: str) -> Iterator[tuple[str, Step, bool]]:
    yield shown, step, False
    if isinstance(step, ConditionStep):
        position = {name: index for index, name in enumerate(graph.order)}
        for branch, steps in step.branches:
            for inner in sorted(steps, key=lambda inner: position[inner.name]):
                yield from _row(inner, f"{indent}  {BRANCH_LABELS[branch]}: {inner.name}", graph, f"{indent}  ")
    elif isinstance(step, ForEachStep):
        for inner in step.body:
            yield f"{indent}  each: {inner.name}", inner, True


def _fate(runs: Sequence[StepRun], now: datetime | None) -> str:
    if not runs:
        return "did not run"
    if len(runs) > 1:
        statuses = [run.status for run in runs]
        return ", ".join(f"{statuses.count(status)} {status}" for status in dict.fromkeys(statuses))
    run = runs[0]
    seconds = run.seconds(now)
    spent = "" if seconds is None else f" in {format_seconds(seconds)}"
    reason = f": {run.failure_reason}" if run.failure_reason else ""
    return f"{run.status}{' from the cache' if run.is_cached else spent}{reason}"
