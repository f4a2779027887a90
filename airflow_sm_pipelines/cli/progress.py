"""Shows executions until they end: live on a terminal, as plain lines elsewhere."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.cli.execution_view import ExecutionReader, step_key
from airflow_sm_pipelines.cli.local_contents import now
from airflow_sm_pipelines.cli.local_judgement import say_local_end
from airflow_sm_pipelines.cli.terminal import complain, say, say_json
from airflow_sm_pipelines.client.outputs import OutputReader
from airflow_sm_pipelines.definition.arns import parse_execution_arn
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.exceptions import PipelineUnavailableError
from airflow_sm_pipelines.local_endpoint import CONSOLE_VARIABLE, JUDGED_VARIABLE, make_pipeline_page_url
from airflow_sm_pipelines.printable_text import clean
from airflow_sm_pipelines.render.labels import format_seconds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from rich.console import Console, RenderableType
    from rich.text import Text

    from airflow_sm_pipelines.cli.execution_view import ExecutionView
    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.definition.json_value import JsonValue
    from airflow_sm_pipelines.server import RunningServer

NOT_SUCCEEDED = 1
"""The exit code for an execution that ended otherwise."""

_INTERVAL_SECONDS = 5.0
_LOCAL_INTERVAL_SECONDS = 0.3
"""Between two looks at an execution: on AWS, and on an endpoint of this machine."""

_COMMAND_INTERVAL_SECONDS = 0.5
_COMMAND_LOG_LINES = 20
"""The same, and the last log lines of a failed step, while a command runs that starts executions."""

_MARKS = {
    "Succeeded": ("✓", "green"),
    "Failed": ("✗", "red"),
    "CompletedWithFailures": ("✗", "red"),
    "Stopped": ("■", "yellow"),
    "Stopping": ("■", "yellow"),
    "Executing": ("●", "blue"),
    "Starting": ("○", "blue"),
}

_MOST_STEPS_WITH_OUTPUTS = 10
_MOST_OUTPUT_LINES = 20
"""How much is shown of what an execution has yielded."""

_MAX_LIVE_STEPS = 8
"""Steps shown of each execution where several are on the terminal at once."""


class Progress(Protocol):
    """Shows executions inside its block."""

    def __enter__(self) -> Progress: ...

    def __exit__(self, *exception: object) -> None: ...

    def show(self, views: Sequence[ExecutionView]) -> None:
        """Show their state now."""


def open_progress(stream: TextIO) -> tuple[Progress, bool]:
    """A display for a stream, and whether it is live: on a terminal that can move its cursor."""
    if stream.isatty() and os.environ.get("TERM") not in (None, "", "dumb"):
        from rich.console import Console

        return TerminalProgress(Console(file=stream, highlight=False)), True
    return PlainProgress(stream), False


def follow_execution(calls: SageMakerCalls, arn: str, arguments: argparse.Namespace, *, is_judged: bool = False) -> int:
    """Show an execution until it ends, and give the exit code of its end.

    :param arguments: of :func:`~airflow_sm_pipelines.cli.shared_options.add_progress_options`.
    :param is_judged: whether the caller says itself what may differ on AWS.
    """
    if not arguments.as_json:
        say(arn)
    # With --json, standard output is for programs; people look at standard error.
    progress, is_live = open_progress(sys.stderr if arguments.as_json else sys.stdout)
    reader = ExecutionReader(calls, log_lines=arguments.log_lines, is_live=is_live)
    interval = arguments.interval or (_LOCAL_INTERVAL_SECONDS if reader.is_local else _INTERVAL_SECONDS)
    try:
        with progress:
            while True:
                began = time.monotonic()
                view = _try_to_read(reader, arn)
                if view is not None:
                    progress.show([view])
                    if view.report.is_terminal:
                        break
                threading.Event().wait(max(0.05, interval - (time.monotonic() - began)))
    except KeyboardInterrupt:
        complain(f"\nNo longer watching; the execution goes on. Look again: sm-pipelines watch {arn}")
        raise
    has_succeeded = view.report.status == ExecutionStatus.SUCCEEDED
    if arguments.as_json:
        say_json(view.report.to_json())
    elif has_succeeded:
        _say_outputs(calls, view.report)
    if console_url := os.environ.get(CONSOLE_VARIABLE):
        name, execution_id = parse_execution_arn(arn)
        complain(f"Page: {make_pipeline_page_url(console_url, name, execution_id=execution_id)}")
    if reader.is_local and JUDGED_VARIABLE not in os.environ:
        say_local_end(calls, view.report, is_judged=is_judged)
    return 0 if has_succeeded else NOT_SUCCEEDED


def _say_outputs(calls: SageMakerCalls, report: ExecutionReport) -> None:
    """Print what the last steps have yielded, a value a line."""
    found = OutputReader(calls, report, warn=complain).read_defaults(max_steps=_MOST_STEPS_WITH_OUTPUTS)
    lines = [
        f"{step}  {place}  {value}"
        for step, outputs in found.items()
        for place, value in _iter_values(outputs)
        if place != "job_name"
    ]
    for line in lines[:_MOST_OUTPUT_LINES]:
        say(line)
    if len(lines) > _MOST_OUTPUT_LINES or len(report.steps) > _MOST_STEPS_WITH_OUTPUTS:
        complain(f"All outputs: sm-pipelines outputs {report.arn}")


def _iter_values(outputs: JsonValue, place: str = "") -> Iterator[tuple[str, JsonValue]]:
    if isinstance(outputs, dict):
        for name, value in outputs.items():
            yield from _iter_values(value, f"{place}.{name}".lstrip("."))
    elif outputs is not None:
        yield place, outputs


def _try_to_read(reader: ExecutionReader, arn: str) -> ExecutionView | None:
    """The execution; ``None`` when the service cannot be reached just now."""
    try:
        return reader.read(arn)
    except PipelineUnavailableError as error:
        complain(f"sm-pipelines: {error}; trying again.")
        return None


@contextlib.contextmanager
def show_started_executions(server: RunningServer) -> Iterator[dict[str, Any]]:
    """Show every execution that starts inside the block: below the command's output on a terminal, else as plain lines.

    :return: arguments for the command's process. On a terminal, its output goes through a terminal of ours, so that it
        scrolls above the display.
    """
    progress, is_live = open_progress(sys.stderr)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(server, progress, is_live, stop), name="progress")
    with progress, contextlib.ExitStack() as closing:
        streams: dict[str, Any] = {}
        if isinstance(progress, TerminalProgress) and sys.stdout.isatty():
            streams = closing.enter_context(_output_above(progress))
        watcher.start()
        try:
            yield streams
        finally:
            stop.set()
            watcher.join()


def _watch(server: RunningServer, progress: Progress, is_live: bool, stop: threading.Event) -> None:
    from airflow_sm_pipelines.client.session_calls import SessionCalls

    calls = SessionCalls.at_endpoint(server.environment())
    reader = ExecutionReader(calls, log_lines=_COMMAND_LOG_LINES, is_live=is_live)
    since = now()
    views: dict[str, ExecutionView] = {}
    is_last = False
    while not is_last:
        # Look once more after the command has ended, so that executions it waited for show as ended.
        is_last = stop.wait(_COMMAND_INTERVAL_SECONDS if views or not is_live else _COMMAND_INTERVAL_SECONDS / 2)
        for arn in reader.list_started_since(since):
            known = views.get(arn)
            if known is None or not known.report.is_terminal:
                views[arn] = reader.read(arn)
        progress.show(list(views.values()))


@contextlib.contextmanager
def _output_above(progress: TerminalProgress) -> Iterator[dict[str, Any]]:
    """A terminal for the command, whose lines are printed above the display."""
    import pty

    ours, theirs = pty.openpty()
    with contextlib.suppress(OSError):
        import fcntl
        import termios

        size = fcntl.ioctl(sys.stderr.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
    printer = threading.Thread(target=_print_lines, args=(ours, progress), name="command-output")
    printer.start()
    try:
        yield {"stdout": theirs, "stderr": theirs}
    finally:
        os.close(theirs)
        printer.join()
        os.close(ours)


def _print_lines(descriptor: int, progress: TerminalProgress) -> None:
    from rich.text import Text

    pending = b""
    while True:
        try:
            read = os.read(descriptor, 65536)
        except OSError:
            # On Linux, reading fails once the last writer has closed the other end.
            read = b""
        *lines, pending = (pending + read).split(b"\n")
        if not read and pending:
            lines.append(pending)
        for line in lines:
            progress.console.print(Text.from_ansi(line.rstrip(b"\r").decode("utf-8", "replace")), soft_wrap=True)
        if not read:
            return


class PlainProgress:
    """A line for each thing that happens, with the time of day in UTC."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._said: dict[tuple[str, tuple[str, int | None]], tuple[str, int | None]] = {}
        self._ended: set[str] = set()

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(self, *exception: object) -> None:
        """Close nothing: each line is already written."""

    def show(self, views: Sequence[ExecutionView]) -> None:
        """Write a line for each change since the last call."""
        for view in views:
            pipeline, execution = parse_execution_arn(view.report.arn)
            for step in view.report.steps:
                key = view.report.arn, step_key(step)
                state = str(step.status), step.attempts
                if self._said.get(key) == state:
                    continue
                self._said[key] = state
                moment = step.end_time if step.is_terminal else step.start_time
                self._say(moment, f"{pipeline} {execution}  {render_step(step)}")
                if step.is_failed:
                    for line in view.log_tails.get(step_key(step), ()):
                        self._say(None, f"  | {line}")
            if view.report.is_terminal and view.report.arn not in self._ended:
                self._ended.add(view.report.arn)
                self._say(view.ended, f"{pipeline} {execution}  {render_end(view)}")

    def _say(self, moment: datetime | str | None, text: str) -> None:
        if isinstance(moment, str):
            moment = datetime.fromisoformat(moment)
        clock = "" if moment is None else moment.astimezone(timezone.utc).strftime("%H:%M:%S")
        print(clean(f"{clock:<8}  {text}"), file=self._stream, flush=True)


class TerminalProgress:
    """A table that changes in place; its last state stays on the terminal.

    :param console: a rich console on a terminal.
    """

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self.console = console
        self._views: Sequence[ExecutionView] = ()
        self._live = Live(
            get_renderable=self._draw, console=console, refresh_per_second=8, vertical_overflow="crop", transient=True
        )

    def __enter__(self) -> TerminalProgress:
        self._live.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.__exit__(None, None, None)
        if self._views:
            # While it was live, the table was cropped to the terminal's height. Now show all of it.
            self.console.print(draw_executions(self._views, now=datetime.now(timezone.utc)))

    def show(self, views: Sequence[ExecutionView]) -> None:
        """Take over their state now; the clocks of running steps go on without another call."""
        self._views = tuple(views)

    def _draw(self) -> RenderableType:
        """What fits on the terminal: running executions before ended ones, late steps before early ones."""
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


def render_step(step: StepReport) -> str:
    """A step and its status, in a line: ``Train  Succeeded in 4.1 s``."""
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


def render_end(view: ExecutionView) -> str:
    """How an execution ended: ``Failed in 41 s: Step failure: ...``."""
    spent = ((view.ended or datetime.now(timezone.utc)) - view.started).total_seconds()
    reason = f": {view.report.failure_reason}" if view.report.failure_reason else ""
    return f"{view.report.status} in {format_seconds(max(0.0, spent))}{reason}"


def draw_executions(
    views: Sequence[ExecutionView], *, now: datetime, max_steps: int | None = None, hidden: int = 0
) -> RenderableType:
    """The executions: for each, a heading and a row for each step.

    :param max_steps: of an execution with more steps, show only the last ones. None shows all steps, and the last log
        lines of those that failed.
    :param hidden: how many further executions to mention.
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
        (clean(pipeline), "bold"),
        f"  {clean(view.report.status)}  ",
        (clean(f"{spent}  {execution}"), "dim"),
    )
    table = Table.grid(padding=(0, 2))
    # Only the remarks are long, so the columns before them keep their widths.
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
            Text(clean(step.type or ""), "dim"),
            _spent(step, now),
            _remark(step, view),
        )
    parts: list[Any] = [heading]
    if hidden:
        parts.append(Text(f"  … {hidden} steps above", "dim"))
    parts.append(table)
    for step in steps:
        tail = view.log_tails.get(step_key(step), ()) if step.is_failed else ()
        if tail and max_steps is None:
            parts.append(Text(f"  The last lines of {_label(step)}:", "bold"))
            parts += [Text.assemble(("  │ ", "red"), clean(line)) for line in tail]
    if view.report.failure_reason:
        parts.append(Text(clean(f"  {view.report.failure_reason}"), "red"))
    return Group(*parts)


def _remark(step: StepReport, view: ExecutionView) -> Text:
    from rich.text import Text

    if step.failure_reason:
        return Text(clean(step.failure_reason), "red")
    if step.cached_from:
        return Text("from the cache", "dim")
    outcome = ((step.metadata or {}).get("Condition") or {}).get("Outcome")
    if outcome:
        return Text(clean(f"is {outcome.lower()}"), "dim")
    if (step.attempts or 1) > 1 and not step.is_terminal:
        return Text(f"attempt {step.attempts}", "yellow")
    tail = view.log_tails.get(step_key(step), ())
    return Text(clean(tail[-1].strip()) if tail and not step.is_terminal else "", "dim")


def _spent(step: StepReport, now: datetime) -> str:
    if step.seconds is not None:
        return format_seconds(step.seconds)
    if step.start_time is None:
        return ""
    return format_seconds(max(0.0, (now - datetime.fromisoformat(step.start_time)).total_seconds()))


def _label(step: StepReport) -> str:
    return clean(step.name if step.iteration is None else f"{step.name} [{step.iteration}]")


def _mark(status: str) -> Text:
    from rich.text import Text

    mark, colour = _MARKS.get(str(status), ("·", "dim"))
    return Text(mark, colour)
