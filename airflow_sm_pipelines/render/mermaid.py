"""A pipeline as a Mermaid flowchart, for Markdown that draws it (GitHub, GitLab, Airflow's ``doc_md``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import build_graph
from airflow_sm_pipelines.render.labels import format_detail, format_run, shorten
from airflow_sm_pipelines.render.shown_edges import find_shown_edges

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition import PipelineDefinition
    from airflow_sm_pipelines.render.step_runs import StepRun

_SHAPES = {"Condition": ("{{", "}}"), "Fail": ("([", "])"), "ForEach": ("[[", "]]")}
# Readable on Mermaid's light and dark themes alike.
_STYLES = {
    "Succeeded": "fill:#1f883d,stroke:#1a7f37,color:#ffffff",
    "Failed": "fill:#cf222e,stroke:#a40e26,color:#ffffff",
    "Stopped": "fill:#9a6700,stroke:#7d4e00,color:#ffffff",
    "Executing": "fill:#0969da,stroke:#0550ae,color:#ffffff",
}
_MAX_DETAIL = 60


def render_mermaid(definition: PipelineDefinition, *, runs: Sequence[StepRun] = (), now: datetime | None = None) -> str:
    """The flowchart, without the fence that Markdown needs around it.

    :param runs: the steps of an execution; their status and duration are added.
    :param now: the end of the time of a step that still runs.
    """
    graph = build_graph(definition)
    ids = {name: f"s{number}" for number, name in enumerate(graph.order)}
    ran = {run.name: run for run in runs if run.iteration is None}
    lines = ["flowchart TD"]
    for name in graph.order:
        step = graph.nodes[name].step
        opening, closing = _SHAPES.get(step.type, ("[", "]"))
        texts = [f"<b>{_escape(name)}</b>", _escape(step.type)]
        detail = format_detail(step)
        if detail:
            texts.append(_escape(shorten(detail, _MAX_DETAIL)))
        if name in ran:
            texts.append(_escape(format_run(ran[name], now)))
        lines.append(f'    {ids[name]}{opening}"{"<br/>".join(texts)}"{closing}')
    for edge in find_shown_edges(graph):
        arrow = f"-- {edge.label} -->" if edge.label else "-->"
        lines.append(f"    {ids[edge.source]} {arrow} {ids[edge.target]}")
    for status, style in _STYLES.items():
        members = [ids[name] for name in graph.order if name in ran and _style_of(ran[name].status) == status]
        if members:
            lines += [f"    classDef {status} {style}", f"    class {','.join(members)} {status}"]
    return "\n".join(lines)


def _style_of(status: str) -> str:
    return {"Starting": "Executing", "Stopping": "Stopped"}.get(status, status)


def _escape(text: str) -> str:
    """The text with entities for the characters that Mermaid and HTML would read as their own."""
    for character, entity in (("&", "#amp;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;")):
        text = text.replace(character, entity)
    return " ".join(text.split())
