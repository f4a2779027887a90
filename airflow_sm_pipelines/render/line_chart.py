"""A value over several executions, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from airflow_sm_pipelines.render.svg_elements import (
    find_status_colour,
    measure_text,
    text_element,
    title_element,
    wrap_svg,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARGIN = 28.0
_WIDTH, _HEIGHT = 640.0, 160.0
_TICKS = 4


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """One execution in a chart.

    :param label: what a resting pointer shows; the first and the last one stand below the chart.
    :param value: None where the execution has none: the line has a gap there.
    :param status: colours the dot.
    """

    label: str
    value: float | None
    status: str = ""


def render_line_svg(points: Sequence[ChartPoint], *, title: str, unit: str = "") -> str:
    """The values from left to right, in the order given.

    :param unit: written behind each number.
    """
    values = [point.value for point in points if point.value is not None]
    low, high = min(values, default=0.0), max(values, default=1.0)
    if high == low:
        room = (abs(low) or 1.0) / 2
        low, high = max(low - room, 0.0) if low >= 0 else low - room, high + room
    ticks = [low + (high - low) * number / _TICKS for number in range(_TICKS + 1)]
    labels = [_format(tick, unit) for tick in ticks]
    left = _MARGIN + max(measure_text(label, 12) for label in labels) + 10
    top = _MARGIN + 24
    gap = _WIDTH / max(len(points) - 1, 1)
    body = [text_element(_MARGIN, _MARGIN + 4, title, kind="title")]
    for tick, label in zip(ticks, labels, strict=True):
        y = top + _HEIGHT * (1 - (tick - low) / (high - low))
        body.append(f'<line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{left + _WIDTH:.1f}" y2="{y:.1f}"/>')
        body.append(text_element(left - 8, y + 4, label, kind="soft", anchor="end"))
    places = [
        None if one.value is None else (left + gap * number, top + _HEIGHT * (1 - (one.value - low) / (high - low)))
        for number, one in enumerate(points)
    ]
    for start, end in pairwise(places):
        if start is not None and end is not None:
            body.append(f'<path class="line" d="M{start[0]:.1f} {start[1]:.1f} L{end[0]:.1f} {end[1]:.1f}"/>')
    for number, (point, place) in enumerate(zip(points, places, strict=True)):
        if place is not None and point.value is not None:
            colour = find_status_colour(point.status)
            body.append(
                f'<g data-point="{number}">{title_element(f"{point.label}: {_format(point.value, unit)}")}'
                f'<circle cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="4.5" style="fill: var(--{colour})"/></g>'
            )
    bottom = top + _HEIGHT + 20
    if not values:
        body.append(text_element(left + 8, top + _HEIGHT / 2, "No execution has this value.", kind="soft"))
    elif len(points) > 1:
        body.append(text_element(left, bottom, points[0].label, kind="soft"))
        body.append(text_element(left + _WIDTH, bottom, points[-1].label, kind="soft", anchor="end"))
    label = f"{title}: {len(values)} values"
    return wrap_svg(left + _WIDTH + _MARGIN, bottom + 14, label, body)


def _format(value: float, unit: str) -> str:
    return f"{value:.4g}{f' {unit}' if unit else ''}"
