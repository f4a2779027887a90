"""What goes to a terminal: colour where it shows, and log lines on standard error."""

from __future__ import annotations

import logging
import os
import sys

_CODES = {"red": "31", "green": "32", "yellow": "33"}


def paint(text: str, colour: str) -> str:
    """The text in a colour if standard output is a terminal. ``NO_COLOR`` and dumb terminals get it plain."""
    code = _CODES.get(colour)
    if code is None or not sys.stdout.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"


def open_log() -> logging.Logger:
    """A log for what a command does: each message is a line on standard error."""
    log = logging.getLogger("sm-pipelines")
    if not log.handlers:
        log.addHandler(logging.StreamHandler(sys.stderr))
        log.setLevel(logging.INFO)
        log.propagate = False
    return log


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
        return line


def show_log_lines() -> None:
    """Write this package's warnings and errors to standard error. Calling it again changes nothing."""
    logger = logging.getLogger("airflow_sm_pipelines")
    if not any(isinstance(handler.formatter, LineFormatter) for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.WARNING)
        handler.setFormatter(LineFormatter())
        logger.addHandler(handler)
        logger.propagate = False
