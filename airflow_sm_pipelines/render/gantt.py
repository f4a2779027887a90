"""The steps of an execution over time, as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.render.labels import format_run_time, format_seconds, shorten
from airflow_sm_pipelines.render.svg_elements import (
    find_status_colour,
    measure_text,
    text_element,
    title_element,
    wrap_svg,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from airflow_sm_pipelines.render.step_runs import StepRun

_MARGIN = 28.0
_ROW = 30.0
_BAR = 18.0
_CHART = 560.0
_TICKS = 6
_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


def render_gantt_svg(runs: Sequence[StepRun], *, now: datetime, title: str = "") -> str:
    """The started steps, each as a bar from its start to its end.

    :param now: the end of the bars of running steps.
    :param title: the picture's title.
    """
    started = [run for run in runs if run.started is not None]
    labels = [shorten(run.label, 40) for run in started]
    label_width = max([measure_text(label, 12) for label in labels], default=0.0) + 16
    origin = min((run.started for run in started if run.started), default=now)
    total = max([(_end(run, now) - origin).total_seconds() for run in started], default=0.0)
    scale = _CHART / max(total, 1e-3)
    left, top = _MARGIN + label_width, _MARGIN + (30 if title else 0) + 18
    results = [_format_result(run, now) for run in started]
    overhang = max(
        [
            (_end(run, now) - origin).total_seconds() * scale + 8 + measure_text(result, 12) - _CHART
            for run, result in zip(started, results, strict=True)
        ],
        default=0.0,
    )
    bottom = top + _ROW * max(len(started), 1)
    body = [text_element(_MARGIN, _MARGIN + 8, title, kind="title")] if title else []
    for seconds in _iter_ticks(total):
        x = left + seconds * scale
        body.append(f'<line class="grid" x1="{x:.1f}" y1="{top:.1f}" x2="{x:.1f}" y2="{bottom:.1f}"/>')
        body.append(text_element(x, top - 7, _format_tick(seconds), kind="soft", anchor="middle"))
    if not started:
        body.append(text_element(left, top + _ROW / 2 + 4, "No step has started.", kind="soft"))
    for index, (run, label, result) in enumerate(zip(started, labels, results, strict=True)):
        middle = top + index * _ROW + _ROW / 2
        begin = (run.started - origin).total_seconds() if run.started else 0.0
        x = left + begin * scale
        width = max(3.0, ((_end(run, now) - origin).total_seconds() - begin) * scale)
        colour = find_status_colour(run.status)
        y = middle - _BAR / 2
        look = f"stroke: var(--{colour}); fill: var(--{colour}); fill-opacity: {0.15 if run.is_cached else 0.85}"
        body += [
            "<g>",
            title_element(": ".join(filter(None, (f"{run.label}: {result}", shorten(run.failure_reason or "", 300))))),
            text_element(left - 12, middle + 4, label, anchor="end"),
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{_BAR}" rx="4" style="{look}"/>',
            text_element(x + width + 8, middle + 4, result, kind="soft"),
            "</g>",
        ]
    width = left + _CHART + max(overhang, 20.0) + _MARGIN
    return wrap_svg(width, bottom + _MARGIN, f"{title or 'An execution'}: {len(started)} steps over time", body)


def _end(run: StepRun, now: datetime) -> datetime:
    return run.ended or now


def _format_result(run: StepRun, now: datetime) -> str:
    spent = format_run_time(run, now)
    return spent if run.status == "Succeeded" or run.is_cached else f"{run.status}, {spent}"


def _format_tick(seconds: float) -> str:
    """A time for the axis: ``30 s``, ``1 min``, ``2 h``."""
    return format_seconds(seconds).removesuffix(" 00 s").removesuffix(" 00 min")


def _iter_ticks(total: float) -> Iterator[float]:
    step = next((step for step in _STEPS if total / step <= _TICKS), _STEPS[-1])
    if total < 1:
        step = 1
    seconds = 0
    while seconds <= total:
        yield float(seconds)
        seconds += step
