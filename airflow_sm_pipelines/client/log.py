"""The one thing that modules without Airflow need of a log: Airflow's task log and Python's loggers both have it."""

from __future__ import annotations

from typing import Any, Protocol


class Log(Protocol):
    """Takes lines, with arguments for their ``%s`` as Python's loggers do."""

    def info(self, message: str, /, *arguments: Any) -> Any:
        """Say what is done."""

    def warning(self, message: str, /, *arguments: Any) -> Any:
        """Say what somebody should look at."""

    def error(self, message: str, /, *arguments: Any) -> Any:
        """Say what went wrong although the work goes on."""
