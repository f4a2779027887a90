"""The cost of each step, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.render.labels import shorten
from airflow_sm_pipelines.render.svg_elements import measure_text, text_element, title_element, wrap_svg

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARGIN = 28.0
_ROW = 30.0
_BAR = 18.0
_CHART = 420.0


def render_cost_svg(costs: Sequence[tuple[str, float | None]], *, currency: str, title: str = "") -> str:
    """A bar for each step, in the order given, and the sum below.

    :param costs: steps and amounts, None for an unknown price. A step may have several entries.
    :param title: the picture's title.
    """
    labels = [shorten(step, 40) for step, _ in costs]
    left = _MARGIN + max([measure_text(label, 12) for label in (*labels, "Total")], default=0.0) + 16
    top = _MARGIN + (30 if title else 0)
    largest = max([amount for _, amount in costs if amount], default=1.0)
    total = sum(amount or 0.0 for _, amount in costs)
    body = [text_element(_MARGIN, _MARGIN + 8, title, kind="title")] if title else []
    for index, ((step, amount), label) in enumerate(zip(costs, labels, strict=True)):
        middle = top + index * _ROW + _ROW / 2
        says = "no price" if amount is None else f"{amount:.4f} {currency}"
        width = _CHART * (amount or 0.0) / largest
        body += ["<g>", title_element(f"{step}: {says}"), text_element(left - 12, middle + 4, label, anchor="end")]
        if amount:
            style = "stroke: var(--running); fill: var(--running); fill-opacity: 0.85"
            body.append(
                f'<rect x="{left:.1f}" y="{middle - _BAR / 2:.1f}" width="{max(width, 2.0):.1f}" height="{_BAR}" '
                f'rx="4" style="{style}"/>'
            )
        body += [text_element(left + width + 8, middle + 4, says, kind="soft"), "</g>"]
    bottom = top + _ROW * len(costs)
    total_text = f"{total:.4f} {currency}"
    right = left + _CHART + 16 + measure_text(total_text, 12)
    body += [
        f'<line class="grid" x1="{_MARGIN}" y1="{bottom + 4:.1f}" x2="{right:.1f}" y2="{bottom + 4:.1f}"/>',
        text_element(left - 12, bottom + 24, "Total", anchor="end"),
        text_element(left, bottom + 24, total_text, kind="name"),
    ]
    return wrap_svg(right + _MARGIN, bottom + 36 + _MARGIN / 2, f"{title or 'An execution'}: {total_text}", body)
