"""The page's answers about a run, a step and a DAG: what its views show, with one picture each. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_page import dag_view, run_rows
from airflow_sm_pipelines.airflow_page.run_view import ENDED_STATES, PipelineTask, RunView, choose_source, find_sources
from airflow_sm_pipelines.printable_text import clean
from airflow_sm_pipelines.render import (
    render_gantt_svg,
    render_line_svg,
    render_shape_svg,
    without_style,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.render import StepRun

MAX_BARS = 200
"""So many steps are shown over time: those that run, those that failed, then the longest."""

_CHARTS = {dag_view.DURATION: ("Seconds from the first step's start to the last one's end", "s")}


def answer_run(
    rows: run_rows.RunRows,
    *,
    task: run_rows.TaskKey | None,
    wanted: str | None,
    arn: str | None,
    view: str,
    now: datetime,
) -> dict[str, Any]:
    """The answer about a run, without its links and rights.

    :param task: the task whose tab asks; None for the run's.
    :param wanted: the name of the source to show.
    :param arn: the execution to show.
    :param view: ``"graph"`` or ``"timeline"``.
    """
    sources = find_sources(rows)
    source = choose_source(sources, task=task, wanted=wanted)
    names = [one.name for one in sources]
    if source is None:
        return {
            "sources": names if task is None else [],
            "is_open": any(one.state not in ENDED_STATES for one in rows.tasks.values()),
        }
    shown = RunView(rows, source, arn)
    runs = shown.list_runs()
    record = shown.record
    draw = _draw_timeline if view == "timeline" else _draw_graph
    return {
        "sources": names if task is None else [source.name],
        "source": source.name,
        "source_task": list(source.task),
        "is_group": source.prefix is not None,
        "step_prefix": None if source.prefix is None else f"{source.prefix}steps.",
        "map_index": source.task[1],
        "step": _find_step(source, task, shown),
        "executions": shown.list_executions(),
        "execution": shown.arn,
        "pipeline": record.get("pipeline"),
        "version": record.get("version"),
        "status": shown.status,
        "reason": record.get("reason"),
        "has_fail_step": shown.has_fail_step,
        "start": min((run.started.isoformat() for run in runs if run.started), default=None),
        "end": None if shown.is_open else max((run.ended.isoformat() for run in runs if run.ended), default=None),
        "parameters": record.get("parameters"),
        "outputs": record.get("outputs"),
        "steps": shown.list_steps(),
        "actions": shown.find_actions(),
        "is_open": shown.is_open,
        "picture": draw(shown, runs, now),
    }


def answer_step(shown: RunView, step: str, *, task: run_rows.TaskKey, xcoms: Mapping[str, Any]) -> dict[str, Any]:
    """The answer about one step.

    :param task: the step's task, or the one that runs the whole pipeline.
    :param xcoms: of that task.
    """
    is_own = shown.source.prefix is not None
    values = xcoms.get("return_value") if is_own else (xcoms.get("step_outputs") or {})
    outputs = values if is_own or not isinstance(values, dict) else values.get(step)
    return {
        "name": step,
        "task_id": task[0],
        "map_index": task[1],
        "tries": [dict(one) for one in shown.find_tries(step)],
        "outputs": outputs if isinstance(outputs, dict) else None,
        "links": run_rows.find_links(xcoms) if is_own else [],
    }


def answer_dag(rows: Sequence[run_rows.ExecutionRow], *, source: str | None, output: str | None) -> dict[str, Any]:
    """The answer about a DAG: its executions, and the chart of one value."""
    compared = dag_view.compare_executions(rows)
    sources = sorted({row["source"] for row in compared})
    chosen = source if source in sources else sources[0] if sources else None
    compared = [row for row in compared if row["source"] == chosen]
    outputs = dag_view.list_outputs(compared)
    shown = output if output in (*outputs, dag_view.DURATION) else (*outputs, dag_view.DURATION)[0]
    title, unit = _CHARTS.get(shown, (shown, ""))
    points = dag_view.make_points(compared, shown)
    return {
        "sources": sources,
        "source": chosen,
        "rows": compared,
        "outputs": [*outputs, dag_view.DURATION],
        "output": shown,
        "chart": without_style(render_line_svg(points, title=title, unit=unit)) if compared else None,
    }


def clean_answer(value: Any) -> Any:
    """An answer whose texts hold no control characters and no marks that reorder text."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean_answer(key): clean_answer(one) for key, one in value.items()}
    return [clean_answer(one) for one in value] if isinstance(value, (list, tuple)) else value


def _find_step(source: PipelineTask, task: run_rows.TaskKey | None, shown: RunView) -> str | None:
    """The step whose task's tab asks."""
    if task is None or source.prefix is None:
        return None
    return next((name for name in shown.shape.names if source.step_task(name) == task), None)


def _draw_graph(shown: RunView, runs: Sequence[StepRun], now: datetime) -> str:
    return without_style(render_shape_svg(shown.shape, runs=runs, now=now))


def _draw_timeline(shown: RunView, runs: Sequence[StepRun], now: datetime) -> str:
    started = [run for run in runs if run.started is not None]
    started.sort(key=lambda run: (run.ended is not None, run.status != "Failed", -(run.seconds(now) or 0.0)))
    kept = sorted(started[:MAX_BARS], key=lambda run: run.started or now)
    title = "" if len(kept) == len(started) else f"{len(kept)} of {len(started)} steps: running, failed and longest"
    return without_style(render_gantt_svg(kept, now=now, title=title))
