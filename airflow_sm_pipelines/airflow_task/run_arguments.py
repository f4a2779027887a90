"""Reads the run operator's numbers and choices, which templates give as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.client.valid_names import parse_domain_id
from airflow_sm_pipelines.option_reader import (
    parse_arguments,
    parse_count_or_none,
    parse_flag,
    parse_seconds,
    refuse_template,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_ARGUMENTS: dict[str, tuple[Callable[..., Any], Any]] = {
    "wait_for_completion": (parse_flag, True),
    "stream_logs": (parse_flag, False),
    "stop_on_kill": (parse_flag, True),
    "waiter_delay": (parse_seconds, 30.0),
    "max_wait_seconds": (parse_seconds, None),
    "max_refused_seconds": (parse_seconds, MAX_REFUSED_SECONDS),
    "progress_delay": (parse_seconds, None),
    "max_step_outputs": (parse_count_or_none, 25),
    "log_lines": (parse_count_or_none, 20),
    "studio_domain_id": (parse_domain_id, None),
}
"""How each is read, and what it is where a template came out empty."""


def read_run_arguments(operator: Any) -> None:
    """Replace the arguments that came as text by what they say.

    :raises ArgumentError: naming the first that cannot be read, and what was expected.
    """
    parse_arguments(operator, _ARGUMENTS)
    refuse_template("assets", operator.assets)
