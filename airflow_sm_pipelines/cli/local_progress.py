"""The executions on a local endpoint, shown while a command runs that starts them."""

from __future__ import annotations

import contextlib
import os
import pty
import sys
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.cli.following import ExecutionReader, ExecutionView
from airflow_sm_pipelines.cli.progress import LiveProgress, Progress, open_progress

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.server import RunningServer

_INTERVAL = 0.5
_LOG_LINES = 20


@contextlib.contextmanager
def shown_progress(server: RunningServer) -> Iterator[dict[str, Any]]:
    """Show every execution that starts meanwhile: below the command's output on a terminal, else as plain lines.

    :return: arguments for the command's process. On a terminal its output goes through one of our own, so that it
        scrolls above the display.
    """
    progress, is_live = open_progress(sys.stderr)
    stop = threading.Event()
    watcher = threading.Thread(target=_watch, args=(server, progress, is_live, stop), name="progress")
    with progress, contextlib.ExitStack() as closing:
        streams: dict[str, Any] = {}
        if isinstance(progress, LiveProgress) and sys.stdout.isatty():
            streams = closing.enter_context(_output_above(progress))
        watcher.start()
        try:
            yield streams
        finally:
            stop.set()
            watcher.join()


def _watch(server: RunningServer, progress: Progress, is_live: bool, stop: threading.Event) -> None:
    import boto3

    from airflow_sm_pipelines.client.session_calls import SessionCalls

    names = server.environment()
    session = boto3.Session(names["AWS_ACCESS_KEY_ID"], names["AWS_SECRET_ACCESS_KEY"], region_name=server.region)
    calls = SessionCalls(session, endpoint_url=server.endpoint_url)
    reader = ExecutionReader(calls, log_lines=_LOG_LINES, is_live=is_live)
    # The service's clock counts milliseconds.
    since = datetime.now(timezone.utc).replace(microsecond=0)
    views: dict[str, ExecutionView] = {}
    is_last = False
    while not is_last:
        # One look more after the command has ended: what it saw to its end shows as ended.
        is_last = stop.wait(_INTERVAL if views or not is_live else _INTERVAL / 2)
        for arn in reader.running_since(since):
            known = views.get(arn)
            if known is None or not known.report.is_terminal:
                views[arn] = reader.read(arn)
        progress.show(list(views.values()))


@contextlib.contextmanager
def _output_above(progress: LiveProgress) -> Iterator[dict[str, Any]]:
    """A terminal for the command, whose lines are printed above the display."""
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


def _print_lines(descriptor: int, progress: LiveProgress) -> None:
    from rich.text import Text

    pending = b""
    while True:
        try:
            read = os.read(descriptor, 65536)
        except OSError:
            # Linux's answer once the last writer has closed the other end.
            read = b""
        *lines, pending = (pending + read).split(b"\n")
        if not read and pending:
            lines.append(pending)
        for line in lines:
            progress.console.print(Text.from_ansi(line.rstrip(b"\r").decode("utf-8", "replace")), soft_wrap=True)
        if not read:
            return
