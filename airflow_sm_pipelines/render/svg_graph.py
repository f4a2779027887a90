"""A pipeline's graph as SVG: one file without scripts, light or dark by the reader's setting."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import build_graph
from airflow_sm_pipelines.render.labels import format_detail, format_run, shorten
from airflow_sm_pipelines.render.layout import Box, PlacedBox, place_boxes
from airflow_sm_pipelines.render.shown_edges import find_shown_edges
from airflow_sm_pipelines.render.svg_elements import (
    find_status_colour,
    find_type_colour,
    measure_text,
    text_element,
    title_element,
    wrap_svg,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition import PipelineDefinition, Step
    from airflow_sm_pipelines.render.layout import Point
    from airflow_sm_pipelines.render.step_runs import StepRun

_MARGIN = 28.0
_TITLE_HEIGHT = 30.0
_PADDING = 16.0
_MAX_CHARACTERS = 44
_MIN_WIDTH = 150.0


@dataclass(frozen=True, slots=True)
class _Card:
    """The texts on a step's box.

    :param result: what the step did in the execution; empty if none is shown.
    """

    step: Step
    name: str
    detail: str
    result: str
    run: StepRun | None

    @property
    def width(self) -> float:
        inner = max(
            measure_text(self.name, 14, is_bold=True),
            measure_text(self.step.type, 12),
            measure_text(self.detail, 12),
            self._result_width,
        )
        return max(_MIN_WIDTH, inner + 2 * _PADDING + 4)

    @property
    def height(self) -> float:
        return 52.0 + 18 * bool(self.detail) + 20 * bool(self.result)

    @property
    def _result_width(self) -> float:
        return measure_text(self.result, 12) + 14


def render_graph_svg(
    definition: PipelineDefinition, *, title: str = "", runs: Sequence[StepRun] = (), now: datetime | None = None
) -> str:
    """The graph as an SVG document.

    :param title: the picture's title, such as the pipeline's name.
    :param runs: the steps of an execution: status and duration are added, and steps that did not run are pale.
    :param now: the end of the time of a step that still runs.
    """
    graph = build_graph(definition)
    ran: dict[str, StepRun] = {run.name: run for run in runs if run.iteration is None}
    cards = {name: _make_card(graph.nodes[name].step, ran.get(name), now) for name in graph.order}
    edges = find_shown_edges(graph)
    layout = place_boxes(
        [Box(name, card.width, card.height) for name, card in cards.items()],
        [(edge.source, edge.target) for edge in edges],
    )
    top = _MARGIN + (_TITLE_HEIGHT if title else 0)
    width = max(layout.width, measure_text(title, 15, is_bold=True), 200) + 2 * _MARGIN
    left = (width - layout.width) / 2
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="tip" d="M0 0.5 L8 4 L0 7.5 Z"/></marker></defs>'
    )
    body = [tip]
    if title:
        body.append(text_element(_MARGIN, _MARGIN + 8, title, kind="title"))
    body.append(f'<g transform="translate({left:.1f} {top:.1f})">')
    routes = layout.routes
    for edge in edges:
        pale = "" if _is_drawn_in_full(edge.target, runs) else ' opacity="0.45"'
        path = _draw_line(routes[edge.source, edge.target])
        body.append(f'<path class="line" marker-end="url(#tip)" d="{path}"{pale}/>')
    for name, card in cards.items():
        body += _draw_card(card, layout.boxes[name], is_idle=not _is_drawn_in_full(name, runs))
    for edge in edges:
        if edge.label:
            body.append(_draw_label(edge.label, routes[edge.source, edge.target]))
    body.append("</g>")
    label = f"{title or 'A pipeline'}: {len(cards)} steps: {', '.join(cards)}"
    return wrap_svg(width, top + layout.height + _MARGIN, label, body)


def _is_drawn_in_full(name: str, runs: Sequence[StepRun]) -> bool:
    """Whether a step is drawn in full colour: it ran, or no execution is shown."""
    return not runs or any(run.name == name for run in runs)


def _make_card(step: Step, run: StepRun | None, now: datetime | None) -> _Card:
    name, detail = shorten(step.name, _MAX_CHARACTERS), shorten(format_detail(step), _MAX_CHARACTERS)
    return _Card(step, name, detail, "" if run is None else format_run(run, now), run)


def _draw_line(points: tuple[Point, ...]) -> str:
    """A line through the points, vertical at each of them."""
    path = f"M{points[0].x:.1f} {points[0].y:.1f}"
    for start, end in pairwise(points):
        if abs(start.x - end.x) < 0.5:
            path += f" L{end.x:.1f} {end.y:.1f}"
        else:
            middle = (start.y + end.y) / 2
            path += f" C{start.x:.1f} {middle:.1f} {end.x:.1f} {middle:.1f} {end.x:.1f} {end.y:.1f}"
    return path


def _draw_label(label: str, points: tuple[Point, ...]) -> str:
    start, end = points[0], points[1]
    x = start.x + (end.x - start.x) * 0.5
    return text_element(x, (start.y + end.y) / 2 + 4, label, kind="mark", anchor="middle")


def _draw_card(card: _Card, place: PlacedBox, *, is_idle: bool) -> list[str]:
    x, y, width, height = place.x, place.y, place.width, place.height
    family = find_type_colour(card.step.type)
    colour = find_status_colour(card.run.status) if card.run else ""
    edge = f' style="stroke: var(--{colour}); stroke-width: 1.8"' if colour else ""
    reason = card.run.failure_reason if card.run else None
    description = card.step.description or format_detail(card.step)
    hover = ": ".join(filter(None, (f"{card.step.name} ({card.step.type})", reason or description)))
    drawn = [
        f'<g opacity="{0.45 if is_idle else 1}">',
        title_element(hover),
    ]
    stripe = f"M{x + 7:.1f} {y:.1f} h-1 a6 6 0 0 0 -6 6 v{height - 12:.1f} a6 6 0 0 0 6 6 h1 z"
    if card.step.type == "ForEach":
        drawn.append(
            f'<rect class="box" x="{x + 5:.1f}" y="{y + 5:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7"/>'
        )
    drawn += [
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7"{edge}/>',
        f'<path d="{stripe}" style="fill: var(--{family})"/>',
        text_element(x + _PADDING + 4, y + 22, card.name, kind="name"),
        text_element(x + _PADDING + 4, y + 40, card.step.type, colour=family),
    ]
    line = y + 58
    if card.detail:
        drawn.append(text_element(x + _PADDING + 4, line, card.detail, kind="soft"))
        line += 20
    if card.result:
        drawn.append(f'<circle cx="{x + _PADDING + 8:.1f}" cy="{line - 4:.1f}" r="4" style="fill: var(--{colour})"/>')
        drawn.append(text_element(x + _PADDING + 18, line, card.result, colour=colour))
    drawn.append("</g>")
    return drawn
