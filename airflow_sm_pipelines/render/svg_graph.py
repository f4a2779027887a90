"""A pipeline's graph as SVG: one file without scripts, light or dark by the reader's setting."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

from airflow_sm_pipelines.definition import build_graph
from airflow_sm_pipelines.render.labels import format_detail, format_run, shorten
from airflow_sm_pipelines.render.shown_edges import find_shape_edges, find_shown_edges
from airflow_sm_pipelines.render.svg_elements import (
    find_status_colour,
    find_type_colour,
    measure_text,
    text_element,
    title_element,
    wrap_svg,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.definition import PipelineDefinition, Step
    from airflow_sm_pipelines.definition.shape import PipelineShape
    from airflow_sm_pipelines.render.shown_edges import ShownEdge
    from airflow_sm_pipelines.render.step_runs import StepRun


_MARGIN = 28.0
_TITLE_HEIGHT = 30.0
_PADDING = 16.0
_MAX_CHARACTERS = 44
_MIN_WIDTH = 150.0
_LIVE_WIDTH = 230.0
_SMALL_WIDTH, _SMALL_HEIGHT, _SMALL_CHARACTERS = 110.0, 22.0, 14
_MAX_HOVER = 300
_NAMED_STEPS = 100

MAX_LARGE_BOXES = 120
"""So many steps of a shape are drawn with all their texts."""


BOX_GAP = 32.0
LAYER_GAP = 46.0
_WAYPOINT_WIDTH = 10.0
_PORT_GAP = 18.0
_SWEEPS = 12


class Point(NamedTuple):
    """A point in the picture, in pixels from the upper left corner."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Box:
    """A box to place."""

    name: str
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PlacedBox:
    """A box with its place; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """A finished layout with its upper left corner at (0, 0).

    :param boxes: by name.
    :param routes: for each edge, the points of its line, from the bottom of one box to the top of the other.
    """

    width: float
    height: float
    boxes: Mapping[str, PlacedBox]
    routes: Mapping[tuple[str, str], tuple[Point, ...]]


def place_boxes(boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> Layout:
    """Place boxes so that every edge leads downwards, with few crossings and straight lines.

    The four steps of Sugiyama's method: layers by longest path, waypoints for long edges, order by barycentre, and
    coordinates by least squares. Nothing in it knows what a box means.

    :param boxes: in an order in which no edge leads back.
    :param edges: pairs of box names, source and target.
    """
    if not boxes:
        return Layout(0, 0, {}, {})
    return _Placement(boxes, edges).place()


class _Placement:
    def __init__(self, boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> None:
        self.boxes = list(boxes)
        self.edges = list(dict.fromkeys(edges))
        self.numbers = {box.name: number for number, box in enumerate(boxes)}
        self.layer_of = self._find_layers()
        self.above: list[list[int]] = [[] for _ in boxes]
        self.below: list[list[int]] = [[] for _ in boxes]
        self.waypoints: dict[tuple[str, str], list[int]] = {}
        self._add_waypoints()
        self.layers: list[list[int]] = [[] for _ in range(max(self.layer_of) + 1)]
        for number, layer in enumerate(self.layer_of):
            self.layers[layer].append(number)

    def place(self) -> Layout:
        self._order_layers()
        centres = self._find_centres()
        tops, bottoms = self._find_heights()
        left = min(centre - self._width(number) / 2 for number, centre in enumerate(centres))
        centres = [centre - left for centre in centres]
        width = max(centre + self._width(number) / 2 for number, centre in enumerate(centres))
        placed = {}
        for number, box in enumerate(self.boxes):
            layer = self.layer_of[number]
            y = tops[layer] + (bottoms[layer] - tops[layer] - box.height) / 2
            placed[box.name] = PlacedBox(centres[number] - box.width / 2, y, box.width, box.height)
        routes = {edge: self._route(edge, centres, tops, bottoms, placed) for edge in self.edges}
        return Layout(width, bottoms[-1], placed, routes)

    def _find_layers(self) -> list[int]:
        layers = [0] * len(self.boxes)
        targets: dict[int, list[int]] = {}
        has_source = set()
        for source, target in sorted(self.edges, key=lambda edge: self.numbers[edge[0]]):
            upper, lower = self.numbers[source], self.numbers[target]
            layers[lower] = max(layers[lower], layers[upper] + 1)
            targets.setdefault(upper, []).append(lower)
            has_source.add(lower)
        for number, followers in targets.items():
            if number not in has_source:
                layers[number] = min(layers[follower] for follower in followers) - 1
        return layers

    def _add_waypoints(self) -> None:
        """Put a waypoint into every layer that an edge passes."""
        for source, target in self.edges:
            upper, lower = self.numbers[source], self.numbers[target]
            chain = [upper]
            for layer in range(self.layer_of[upper] + 1, self.layer_of[lower]):
                self.layer_of.append(layer)
                self.above.append([])
                self.below.append([])
                chain.append(len(self.layer_of) - 1)
            self.waypoints[source, target] = chain[1:]
            for first, second in zip(chain, [*chain[1:], lower], strict=True):
                self.below[first].append(second)
                self.above[second].append(first)

    def _order_layers(self) -> None:
        best, fewest = [list(layer) for layer in self.layers], self._count_crossings()
        for sweep in range(_SWEEPS):
            downwards = sweep % 2 == 0
            layers = range(1, len(self.layers)) if downwards else range(len(self.layers) - 2, -1, -1)
            neighbours = self.above if downwards else self.below
            for layer in layers:
                fixed = self.layers[layer - 1 if downwards else layer + 1]
                position = {number: index for index, number in enumerate(fixed)}
                own = {number: index for index, number in enumerate(self.layers[layer])}
                middle = {
                    number: sum(position[other] for other in neighbours[number]) / len(neighbours[number])
                    if neighbours[number]
                    else float(own[number])
                    for number in own
                }
                self.layers[layer] = [
                    one for _, _, one in sorted((middle[one], place, one) for one, place in own.items())
                ]
            crossings = self._count_crossings()
            if crossings < fewest:
                best, fewest = [list(layer) for layer in self.layers], crossings
        self.layers = best

    def _count_crossings(self) -> int:
        crossings = 0
        for upper, lower in pairwise(self.layers):
            position = {number: index for index, number in enumerate(lower)}
            ends = [
                position[other] for number in upper for other in sorted(self.below[number], key=position.__getitem__)
            ]
            seen: list[int] = []
            for end in ends:
                crossings += sum(other > end for other in seen)
                seen.append(end)
        return crossings

    def _find_centres(self) -> list[float]:
        centres = [0.0] * len(self.layer_of)
        for layer in self.layers:
            self._spread(layer, [0.0] * len(layer), centres)
        for sweep in range(_SWEEPS):
            downwards = sweep % 2 == 0
            neighbours = self.above if downwards else self.below
            for layer in self.layers if downwards else self.layers[::-1]:
                wished = [
                    sum(centres[other] for other in neighbours[number]) / len(neighbours[number])
                    if neighbours[number]
                    else centres[number]
                    for number in layer
                ]
                self._spread(layer, wished, centres)
        return centres

    def _spread(self, layer: list[int], wished: list[float], centres: list[float]) -> None:
        """Put a layer's boxes as near as possible to where they should be, without overlaps (isotonic regression)."""
        offsets = [0.0]
        for left, right in pairwise(layer):
            offsets.append(offsets[-1] + (self._width(left) + self._width(right)) / 2 + BOX_GAP)
        groups: list[tuple[float, int]] = []
        for wish, offset in zip(wished, offsets, strict=True):
            total, count = wish - offset, 1
            while groups and groups[-1][0] / groups[-1][1] > total / count:
                other_total, other_count = groups.pop()
                total, count = total + other_total, count + other_count
            groups.append((total, count))
        index = 0
        for total, count in groups:
            for _ in range(count):
                centres[layer[index]] = total / count + offsets[index]
                index += 1

    def _find_heights(self) -> tuple[list[float], list[float]]:
        tops, bottoms, y = [], [], 0.0
        for layer in self.layers:
            height = max((self.boxes[number].height for number in layer if number < len(self.boxes)), default=0.0)
            tops.append(y)
            bottoms.append(y + height)
            y += height + LAYER_GAP
        return tops, bottoms

    def _route(
        self,
        edge: tuple[str, str],
        centres: list[float],
        tops: list[float],
        bottoms: list[float],
        placed: Mapping[str, PlacedBox],
    ) -> tuple[Point, ...]:
        upper, lower = self.numbers[edge[0]], self.numbers[edge[1]]
        chain = [upper, *self.waypoints[edge], lower]
        start, end = placed[edge[0]], placed[edge[1]]
        points = [Point(self._port(upper, chain[1], self.below, centres), start.y + start.height)]
        for waypoint in self.waypoints[edge]:
            layer = self.layer_of[waypoint]
            points += [Point(centres[waypoint], tops[layer]), Point(centres[waypoint], bottoms[layer])]
        points.append(Point(self._port(lower, chain[-2], self.above, centres), end.y))
        return tuple(points)

    def _port(self, number: int, other: int, neighbours: list[list[int]], centres: list[float]) -> float:
        """The place on a box's side where a line begins: the lines are in the order of their other ends."""
        ends = sorted(neighbours[number], key=centres.__getitem__)
        gap = min(_PORT_GAP, self._width(number) / (len(ends) + 1))
        return centres[number] + (ends.index(other) - (len(ends) - 1) / 2) * gap

    def _width(self, number: int) -> float:
        return self.boxes[number].width if number < len(self.boxes) else _WAYPOINT_WIDTH


@dataclass(frozen=True, slots=True)
class _Card:
    """The texts on a step's box.

    :param name: as the definition has it.
    :param result: what the step did in the execution; empty if none is shown.
    :param hover: what a resting pointer shows beside name and type.
    :param min_width: of the box.
    """

    name: str
    type: str
    detail: str
    result: str
    run: StepRun | None
    hover: str = ""
    min_width: float = _MIN_WIDTH
    is_small: bool = False

    @property
    def label(self) -> str:
        return shorten(self.name, _SMALL_CHARACTERS if self.is_small else _MAX_CHARACTERS)

    @property
    def width(self) -> float:
        if self.is_small:
            return _SMALL_WIDTH
        inner = max(
            measure_text(self.label, 14, is_bold=True),
            measure_text(self.type, 12),
            measure_text(self.detail, 12),
            self._result_width,
        )
        return max(self.min_width, inner + 2 * _PADDING + 4)

    @property
    def height(self) -> float:
        return _SMALL_HEIGHT if self.is_small else 52.0 + 18 * bool(self.detail) + 20 * bool(self.result)

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
    return _draw_graph(cards, find_shown_edges(graph), title=title, is_all_full=not runs)


def render_shape_svg(
    shape: PipelineShape, *, title: str = "", runs: Sequence[StepRun] = (), now: datetime | None = None
) -> str:
    """The graph of a pipeline of which only the shape is known, as an SVG document.

    Every box has room for its step's result, so that no box moves while the steps go on. A graph of more than
    :data:`MAX_LARGE_BOXES` steps has small boxes, with names and colours alone. Each box has its step's number in the
    shape as ``data-step``.
    """
    ran = {run.name: run for run in runs if run.iteration is None}
    is_small = len(shape.steps) > MAX_LARGE_BOXES
    cards = {}
    for step in shape.steps:
        run = ran.get(step.name)
        result = "" if is_small else format_run(run, now) if run is not None else " "
        hover = format_run(run, now) if run is not None else ""
        if run is not None and run.failure_reason and not is_small:
            hover = shorten(run.failure_reason, _MAX_HOVER)
        cards[step.name] = _Card(step.name, step.type, "", result, run, hover, _LIVE_WIDTH, is_small)
    return _draw_graph(cards, find_shape_edges(shape), title=title, is_all_full=False)


@lru_cache(maxsize=32)
def _place_cards(boxes: tuple[Box, ...], edges: tuple[tuple[str, str], ...]) -> Layout:
    """The same layout again for an execution that is drawn many times."""
    return place_boxes(boxes, edges)


def _draw_graph(cards: Mapping[str, _Card], edges: Sequence[ShownEdge], *, title: str, is_all_full: bool) -> str:
    layout = _place_cards(
        tuple(Box(name, card.width, card.height) for name, card in cards.items()),
        tuple((edge.source, edge.target) for edge in edges),
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
    if any(card.is_small for card in cards.values()):
        body.append(_draw_straight_lines(edges, routes))
        edges = ()
    for edge in edges:
        pale = "" if is_all_full or cards[edge.target].run else ' opacity="0.45"'
        path = _draw_line(routes[edge.source, edge.target])
        body.append(f'<path class="line" marker-end="url(#tip)" d="{path}"{pale}/>')
    for number, (name, card) in enumerate(cards.items()):
        draw = _draw_small_card if card.is_small else _draw_card
        body += draw(card, layout.boxes[name], number, is_idle=not is_all_full and card.run is None)
    for edge in edges:
        if edge.label:
            body.append(_draw_label(edge.label, routes[edge.source, edge.target]))
    body.append("</g>")
    names = ", ".join(list(cards)[:_NAMED_STEPS])
    label = f"{title or 'A pipeline'}: {len(cards)} steps: {names}"
    return wrap_svg(width, top + layout.height + _MARGIN, label, body)


def _make_card(step: Step, run: StepRun | None, now: datetime | None) -> _Card:
    detail = format_detail(step)
    reason = run.failure_reason if run else None
    hover = reason or step.description or detail
    result = "" if run is None else format_run(run, now)
    return _Card(step.name, step.type, shorten(detail, _MAX_CHARACTERS), result, run, hover)


def _draw_straight_lines(edges: Sequence[ShownEdge], routes: Mapping[tuple[str, str], tuple[Point, ...]]) -> str:
    """All edges of a large graph as one short element, from box to box."""
    ends = [(routes[edge.source, edge.target][0], routes[edge.source, edge.target][-1]) for edge in edges]
    lines = (f"M{start.x:.0f} {start.y:.0f}L{end.x:.0f} {end.y:.0f}" for start, end in ends)
    return f'<path class="line" d="{"".join(lines)}"/>'


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


def _draw_small_card(card: _Card, place: PlacedBox, number: int, *, is_idle: bool) -> list[str]:
    """A box in few bytes; whoever shows it adds what a resting pointer shows."""
    colour = find_status_colour(card.run.status) if card.run else "idle"
    pale = ' opacity="0.45"' if is_idle else ""
    x, y, width, height = round(place.x), round(place.y), round(place.width), round(place.height)
    box = f'<path class="box is-{colour}" d="M{x} {y}h{width}v{height}h-{width}z"/>'
    label = escape(card.label) if card.label.isprintable() else str(number)
    return [f'<g data-step="{number}"{pale}>{box}<text x="{x + 5}" y="{y + 15}">{label}</text></g>']


def _draw_card(card: _Card, place: PlacedBox, number: int, *, is_idle: bool) -> list[str]:
    x, y, width, height = place.x, place.y, place.width, place.height
    family = find_type_colour(card.type)
    colour = find_status_colour(card.run.status) if card.run else ""
    dashes = "; stroke-dasharray: 5 3" if card.run and card.run.is_cached else ""
    edge = f' style="stroke: var(--{colour}); stroke-width: 1.8{dashes}"' if colour else ""
    place_mark = "" if card.min_width == _MIN_WIDTH else f' data-step="{number}"'
    drawn = [
        f'<g opacity="{0.45 if is_idle else 1}"{place_mark}>',
        title_element(": ".join(filter(None, (f"{card.name} ({card.type})", card.hover)))),
    ]
    stripe = f"M{x + 7:.1f} {y:.1f} h-1 a6 6 0 0 0 -6 6 v{height - 12:.1f} a6 6 0 0 0 6 6 h1 z"
    if card.type == "ForEach":
        drawn.append(
            f'<rect class="box" x="{x + 5:.1f}" y="{y + 5:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7"/>'
        )
    drawn += [
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="7"{edge}/>',
        f'<path d="{stripe}" style="fill: var(--{family})"/>',
        text_element(x + _PADDING + 4, y + 22, card.label, kind="name"),
        text_element(x + _PADDING + 4, y + 40, card.type, colour=family),
    ]
    line = y + 58
    if card.detail:
        drawn.append(text_element(x + _PADDING + 4, line, card.detail, kind="soft"))
        line += 20
    if card.result.strip():
        drawn.append(f'<circle cx="{x + _PADDING + 8:.1f}" cy="{line - 4:.1f}" r="4" style="fill: var(--{colour})"/>')
        drawn.append(text_element(x + _PADDING + 18, line, card.result, colour=colour))
    drawn.append("</g>")
    return drawn
