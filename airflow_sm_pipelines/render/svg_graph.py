"""A pipeline's graph as SVG: one file, no script, light and dark by the reader's setting."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_sm_pipelines.definition import build_graph
from airflow_sm_pipelines.render.labels import describe_detail, format_seconds, shorten
from airflow_sm_pipelines.render.layout import Box, PlacedBox, place_boxes
from airflow_sm_pipelines.render.shown_edges import find_shown_edges
from airflow_sm_pipelines.render.svg_elements import (
    family_of,
    measure,
    status_colour,
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
    """What stands on a step's box."""

    step: Step
    name: str
    detail: str
    fate: str
    run: StepRun | None

    @property
    def width(self) -> float:
        inner = max(
            measure(self.name, 14, is_bold=True),
            measure(self.step.type, 12),
            measure(self.detail, 12),
            self._fate_width,
        )
        return max(_MIN_WIDTH, inner + 2 * _PADDING + 4)

    @property
    def height(self) -> float:
        return 52.0 + 18 * bool(self.detail) + 20 * bool(self.fate)

    @property
    def _fate_width(self) -> float:
        return measure(self.fate, 12) + 14


def render_graph_svg(
    definition: PipelineDefinition, *, title: str = "", runs: Sequence[StepRun] = (), now: datetime | None = None
) -> str:
    """The graph as an SVG document.

    :param title: stands at the top; the pipeline's name, say.
    :param runs: the steps of an execution; status and duration are added, and steps that did not run are pale.
    :param now: up to when a step has run that still does.
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
    width = max(layout.width, measure(title, 15, is_bold=True), 200) + 2 * _MARGIN
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
        pale = "" if _ran(edge.target, runs) else ' opacity="0.45"'
        path = _draw(routes[edge.source, edge.target])
        body.append(f'<path class="line" marker-end="url(#tip)" d="{path}"{pale}/>')
    for name, card in cards.items():
        body += _draw_card(card, layout.boxes[name], is_idle=not _ran(name, runs))
    for edge in edges:
        if edge.label:
            body.append(_draw_mark(edge.label, routes[edge.source, edge.target]))
    body.append("</g>")
    label = f"{title or 'A pipeline'}: {len(cards)} steps: {', '.join(cards)}"
    return wrap_svg(width, top + layout.height + _MARGIN, label, body)


def _ran(name: str, runs: Sequence[StepRun]) -> bool:
    """Whether a step is drawn in full: it ran, or no execution is shown."""
    return not runs or any(run.name == name for run in runs)


def _make_card(step: Step, run: StepRun | None, now: datetime | None) -> _Card:
    fate = ""
    if run is not None:
        seconds = run.seconds(now)
        spent = "from the cache" if run.is_cached else "" if seconds is None else format_seconds(seconds)
        fate = " · ".join(filter(None, (run.status, spent)))
    return _Card(step, shorten(step.name, _MAX_CHARACTERS), shorten(describe_detail(step), _MAX_CHARACTERS), fate, run)


def _draw(points: tuple[Point, ...]) -> str:
    """A line that leaves each point, and reaches the next, straight down."""
    path = f"M{points[0].x:.1f} {points[0].y:.1f}"
    for start, end in pairwise(points):
        if abs(start.x - end.x) < 0.5:
            path += f" L{end.x:.1f} {end.y:.1f}"
        else:
            middle = (start.y + end.y) / 2
            path += f" C{start.x:.1f} {middle:.1f} {end.x:.1f} {middle:.1f} {end.x:.1f} {end.y:.1f}"
    return path


def _draw_mark(label: str, points: tuple[Point, ...]) -> str:
    start, end = points[0], points[1]
    x = start.x + (end.x - start.x) * 0.5
    return text_element(x, (start.y + end.y) / 2 + 4, label, kind="mark", anchor="middle")


def _draw_card(card: _Card, place: PlacedBox, *, is_idle: bool) -> list[str]:
    x, y, width, height = place.x, place.y, place.width, place.height
    family = family_of(card.step.type)
    colour = status_colour(card.run.status) if card.run else ""
    edge = f' style="stroke: var(--{colour}); stroke-width: 1.8"' if colour else ""
    reason = card.run.failure_reason if card.run else None
    description = card.step.description or describe_detail(card.step)
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
    if card.fate:
        drawn.append(f'<circle cx="{x + _PADDING + 8:.1f}" cy="{line - 4:.1f}" r="4" style="fill: var(--{colour})"/>')
        drawn.append(text_element(x + _PADDING + 18, line, card.fate, colour=colour))
    drawn.append("</g>")
    return drawn
