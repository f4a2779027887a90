"""What goes to a terminal: cleaned text, colour where it shows, and log lines on standard error.

Every command writes through the functions here, which show control characters instead of sending them
(:mod:`airflow_sm_pipelines.printable_text` says why).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from typing import TYPE_CHECKING, TextIO

from airflow_sm_pipelines.printable_text import clean, escape_unsafe_as_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_sm_pipelines.definition import JsonValue

_SILENT_SECONDS = 2.0
_CODES = {"red": "31", "green": "32", "yellow": "33"}


def say(*lines: object) -> None:
    """Write lines to standard output, cleaned."""
    _write(sys.stdout, lines)


def say_painted(*lines: str) -> None:
    """Write lines whose parts come from :func:`clean` and :func:`paint`, to standard output."""
    print(*lines, sep="\n", flush=True)


def complain(*lines: object) -> None:
    """Write lines to standard error, cleaned."""
    _write(sys.stderr, lines)


def say_json(document: JsonValue | object) -> None:
    """Write a JSON document to standard output. What a terminal would act on is escaped as JSON does it."""
    print(render_json(document), flush=True)


def render_json(document: JsonValue | object) -> str:
    """A JSON document as indented text, in which what a terminal would act on is escaped as JSON does it."""
    return escape_unsafe_as_json(json.dumps(document, indent=2, ensure_ascii=False))


def paint(text: object, colour: str) -> str:
    """The cleaned text, in a colour if standard output is a terminal. ``NO_COLOR`` and dumb terminals get it plain."""
    code = _CODES.get(colour)
    if code is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return clean(text)
    return f"\x1b[{code}m{clean(text)}\x1b[0m"


@contextlib.contextmanager
def show_elapsed(what: str) -> Iterator[None]:
    """Show on a terminal, while a block runs, what is going on and for how many seconds.

    Nothing is shown in the first seconds, nor where standard error is no terminal.
    """
    if not _clear_line():
        yield
        return
    is_over = threading.Event()

    def show() -> None:
        started = time.monotonic()
        while not is_over.wait(1 if time.monotonic() - started > 1 else _SILENT_SECONDS):
            sys.stderr.write(f"\r{clean(what)} ... {time.monotonic() - started:.0f} s\x1b[K")
            sys.stderr.flush()

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        sys.stderr.write(_clear_line())
        sys.stderr.flush()


def open_log() -> logging.Logger:
    """A log for what a command does: each message is a line on standard error."""
    log = logging.getLogger("sm-pipelines")
    if not log.handlers:
        handler = _ErrorStreamHandler()
        handler.setFormatter(_CleanFormatter())
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    log.disabled = False  # Airflow's configuration of logging disables the loggers that are there before it
    return log


class _ErrorStreamHandler(logging.Handler):
    """Writes to what standard error is at the time, not to what it was when the handler was made.

    A line that cannot be written is lost, and whoever logs it goes on: standard error may be a file on a full disk, or
    a pipe that nobody reads any more.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError, ValueError):
            print(self.format(record), file=sys.stderr, flush=True)


class _CleanFormatter(logging.Formatter):
    """The message, cleaned."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{_clear_line()}{clean(super().format(record))}"


class LineFormatter(logging.Formatter):
    """``sm-pipelines: <message> (<class>: <reason>)``; the traceback too where ``SM_PIPELINES_DEBUG`` is set."""

    def format(self, record: logging.LogRecord) -> str:
        """One line for a record."""
        line = f"sm-pipelines: {record.getMessage()}"
        error = record.exc_info[1] if record.exc_info else None
        if error is not None:
            line += f" ({type(error).__name__}: {error})"
            if os.environ.get("SM_PIPELINES_DEBUG"):
                line += f"\n{self.formatException(record.exc_info)}"  # type: ignore[arg-type]
        return clean(line)


def show_log_lines() -> None:
    """Write this package's warnings and errors to standard error. Calling it again changes nothing."""
    logger = logging.getLogger("airflow_sm_pipelines")
    if not any(isinstance(handler.formatter, LineFormatter) for handler in logger.handlers):
        handler = _ErrorStreamHandler()
        handler.setLevel(logging.WARNING)
        handler.setFormatter(LineFormatter())
        logger.addHandler(handler)
        logger.propagate = False


def _clear_line() -> str:
    """What removes a line of :func:`show_elapsed`; empty where standard error is no terminal that can do it."""
    can_move = sys.stderr.isatty() and os.environ.get("TERM") not in (None, "", "dumb")
    return "\r\x1b[K" if can_move else ""


def _write(stream: TextIO, lines: tuple[object, ...]) -> None:
    if lines:
        if stream is sys.stderr:
            stream.write(_clear_line())
        print(*map(clean, lines), sep="\n", file=stream, flush=True)
