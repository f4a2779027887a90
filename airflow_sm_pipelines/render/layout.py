"""Places the boxes of a directed graph in layers from top to bottom, with few crossings and straight lines.

The four steps of Sugiyama's method: layers by longest path, waypoints for long edges, order by barycentre, and
coordinates by least squares. Nothing here knows what a box means.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
    """Place boxes so that every edge leads downwards.

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
