"""What the local endpoint logs, as lines on standard error: a sentence each, without the traceback behind it."""

from __future__ import annotations

import logging
import os
import sys


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
    """Have this package's warnings and errors written to standard error, once."""
    logger = logging.getLogger("airflow_sm_pipelines")
    if not any(isinstance(handler.formatter, LineFormatter) for handler in logger.handlers):
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.WARNING)
        handler.setFormatter(LineFormatter())
        logger.addHandler(handler)
        logger.propagate = False
