"""The type of the loggers that this package writes to, whoever made them."""

from __future__ import annotations

from typing import Any, Protocol


class Logger(Protocol):
    """Takes messages in the manner of :mod:`logging`.

    Airflow's task loggers are of this type, and so are those of the standard library.
    """

    def debug(self, message: str, /, *args: Any) -> Any:
        """Write a message that helps to find a fault."""

    def info(self, message: str, /, *args: Any) -> Any:
        """Write a message that needs no attention."""

    def warning(self, message: str, /, *args: Any) -> Any:
        """Write a message that somebody should read."""

    def error(self, message: str, /, *args: Any) -> Any:
        """Write that something went wrong although the work goes on."""
