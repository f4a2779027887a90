"""Executions on a terminal, live; and as plain lines where there is no terminal."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.cli.following import step_key
from airflow_sm_pipelines.client.reports import parse_execution_arn
from airflow_sm_pipelines.render.labels import format_seconds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TextIO

    from rich.console import Console, RenderableType
    from rich.text import Text

    from airflow_sm_pipelines.cli.following import ExecutionView
    from airflow_sm_pipelines.client.reports import StepReport

_MARKS = {
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "red"),
    "CompletedWithFailures": ("✗", "red"),
    "Stopped": ("■", "yellow"),
    "Stopping": ("■", "yellow"),
    "Executing": ("●", "blue"),
    "Starting": ("○", "blue"),
}


_MAX_LIVE_STEPS = 8


class Progress(Protocol):
    """Shows executions; entered for as long as they go on."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *exception: object) -> None: ...

    def show(self, views: Sequence[ExecutionView]) -> None:
        """Show how they are now."""


def open_progress(stream: TextIO) -> tuple[Progress, bool]:
    """A display for a stream, and whether it is live: on a terminal that can move its cursor."""
    if stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        from rich.console import Console

        return LiveProgress(Console(file=stream, highlight=False)), True
    return PlainProgress(stream), False


class PlainProgress:
    """A line for each thing that happens, with the time of day in UTC."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: dict[tuple[str, tuple[str, int | None]], tuple[str, int | None]] = {}
        self._ended: set[str] = set()

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing is left to say."""

    def show(self, views: Sequence[ExecutionView]) -> None:
        """Say what has changed since the last time."""
        for view in views:
            pipeline, execution = parse_execution_arn(view.report.arn)
            for step in view.report.steps:
                key = view.report.arn, step_key(step)
                state = str(step.status), step.attempts
                if self._said.get(key) == state:
                    continue
                self._said[key] = state
                moment = step.end_time if step.is_terminal else step.start_time
                self._say(moment, f"{pipeline} {execution}  {describe_step(step)}")
                if step.is_failed:
                    for line in view.tails.get(step_key(step), ()):
                        self._say(None, f"  | {line}")
            if view.report.is_terminal and view.report.arn not in self._ended:
                self._ended.add(view.report.arn)
                self._say(view.ended, f"{pipeline} {execution}  {describe_end(view)}")

    def _say(self, moment: datetime | str | None, text: str) -> None:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        clock = "" if moment is None else moment.astimezone(timezone.utc).strftime("%H:%M:%S")
        print(f"{clock:<8}  {text}", file=self._stream, flush=True)


class LiveProgress:
    """A table that stays where it is and changes; what stands there at the end remains.

    :param console: a rich console on a terminal.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self.console = console
        self._views: Sequence[ExecutionView] = ()
        self._live = Live(
            get_renderable=self._draw, console=console, refresh_per_second=8, vertical_overflow="crop", transient=True
        )

    def __enter__(self) -> LiveProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)
        if self._views:
            # What was cropped to the height of the terminal, in full.
            self.console.print(draw_executions(self._views, now=datetime.now(timezone.utc)))

    def show(self, views: Sequence[ExecutionView]) -> None:
        """Take over how they are now; the clock of running steps goes on by itself."""
        self._views = tuple(views)

    def _draw(self) -> RenderableType:
        """What fits on the terminal: executions that run before those that have ended, late steps before early ones."""
        height = max(6, self.console.size.height - 3)
        chosen: list[ExecutionView] = []
        rows = 0
        for view in sorted(self._views, key=lambda view: (view.report.is_terminal, -view.started.timestamp())):
            rows += min(len(view.report.steps), _MAX_LIVE_STEPS) + 2
            if chosen and rows > height:
                break
            chosen.append(view)
        shown = [view for view in self._views if view in chosen]
        steps = max(1, height - 2) if len(shown) == 1 else _MAX_LIVE_STEPS
        return draw_executions(
            shown, now=datetime.now(timezone.utc), max_steps=steps, hidden=len(self._views) - len(shown)
        )


def describe_step(step: StepReport) -> str:
    """A step and how it is, in a line: ``Train  Succeeded in 4.1 s``."""
    words = [_label(step), str(step.status)]
    if step.cached_from:
        words.append("from the cache")
    elif step.is_terminal and step.seconds is not None:
        words[-1] += f" in {format_seconds(step.seconds)}"
    if (step.attempts or 1) > 1:
        words.append(f"attempt {step.attempts}")
    if step.failure_reason:
        words.append(step.failure_reason)
    return "  ".join(words)


def describe_end(view: ExecutionView) -> str:
    """How an execution ended: ``Failed in 41 s: Step failure: ...``."""
    spent = ((view.ended or datetime.now(timezone.utc)) - view.started).total_seconds()
    reason = f": {view.report.failure_reason}" if view.report.failure_reason else ""
    return f"{view.report.status} in {format_seconds(max(0.0, spent))}{reason}"


def draw_executions(
    views: Sequence[ExecutionView], *, now: datetime, max_steps: int | None = None, hidden: int = 0
) -> RenderableType:
    """The executions, each a heading and a row for each step.

    :param max_steps: leave out the first steps of an execution where there are more; None for all, and for the last
        log lines of those that failed.
    :param hidden: how many executions are left out.
    """
    from rich.console import Group
    from rich.text import Text

    parts = [_draw_execution(view, now, max_steps) for view in views]
    if hidden:
        parts.insert(0, Text(f"… {hidden} more executions", "dim"))
    return Group(*parts)


def _draw_execution(view: ExecutionView, now: datetime, max_steps: int | None) -> RenderableType:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    pipeline, execution = parse_execution_arn(view.report.arn)
    spent = format_seconds(max(0.0, ((view.ended or now) - view.started).total_seconds()))
    heading = Text.assemble(
        _mark(view.report.status),
        " ",
        (pipeline, "bold"),
        f"  {view.report.status}  ",
        (f"{spent}  {execution}", "dim"),
    )
    table = Table.grid(padding=(0, 2))
    # What is long is the remark: the columns before it keep their widths.
    labels = max((len(_label(step)) for step in view.report.steps), default=0)
    table.add_column(no_wrap=True, overflow="ellipsis", min_width=min(labels, 40) + 4)
    table.add_column(no_wrap=True, min_width=max((len(step.type or "") for step in view.report.steps), default=0))
    table.add_column(no_wrap=True, min_width=8, justify="right")
    table.add_column(no_wrap=True, overflow="ellipsis")
    steps = view.report.steps
    hidden = 0 if max_steps is None else max(0, len(steps) - max_steps)
    for step in steps[hidden:]:
        table.add_row(
            Text.assemble("  ", _mark(step.status), " ", _label(step)),
            Text(step.type or "", "dim"),
            _spent(step, now),
            _remark(step, view),
        )
    parts: list[Any] = [heading]
    if hidden:
        parts.append(Text(f"  … {hidden} steps above", "dim"))
    parts.append(table)
    for step in steps:
        tail = view.tails.get(step_key(step), ()) if step.is_failed else ()
        if tail and max_steps is None:
            parts.append(Text(f"  The last lines of {_label(step)}:", "bold"))
            parts += [Text.assemble(("  │ ", "red"), line) for line in tail]
    if view.report.failure_reason:
        parts.append(Text(f"  {view.report.failure_reason}", "red"))
    return Group(*parts)


def _remark(step: StepReport, view: ExecutionView) -> Text:
    from rich.text import Text

    if step.failure_reason:
        return Text(step.failure_reason, "red")
    if step.cached_from:
        return Text("from the cache", "dim")
    outcome = ((step.metadata or {}).get("Condition") or {}).get("Outcome")
    if outcome:
        return Text(f"is {outcome.lower()}", "dim")
    if (step.attempts or 1) > 1 and not step.is_terminal:
        return Text(f"attempt {step.attempts}", "yellow")
    tail = view.tails.get(step_key(step), ())
    return Text(tail[-1].strip() if tail and not step.is_terminal else "", "dim")


def _spent(step: StepReport, now: datetime) -> str:
    if step.seconds is not None:
        return format_seconds(step.seconds)
    if step.start_time is None:
        return ""
    return format_seconds(max(0.0, (now - datetime.fromisoformat(step.start_time)).total_seconds()))


def _label(step: StepReport) -> str:
    return step.name if step.iteration is None else f"{step.name} [{step.iteration}]"


def _mark(status: str) -> Text:
    from rich.text import Text

    mark, colour = _MARKS.get(str(status), ("·", "dim"))
    return Text(mark, colour)
