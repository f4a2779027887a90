"""The texts of failure reasons, with which the author of a job can act. Whether a job failed is decided elsewhere."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.rules.errors import MAX_REASON_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.engine.jobs.isolation import Isolation
    from airflow_sm_pipelines.engine.jobs.process import ProcessEnd

_MAX_COMMAND_CHARACTERS = 200
MISSING_PROGRAM = (
    'Give its entry in the table of images `dockerfile = "Dockerfile"`, or `entrypoint = ["python3", "/app/run.py"]` '
    'and `files = { "/app" = "src" }`.'
)
"""What to do where a job relies on a program that only its image has."""
_INTERPRETER = re.compile(r"^/\S*/python[\d.]*: ")
"""Python puts its own path before what it says itself, such as ``No module named pip``."""


class JobFailure(Exception):  # noqa: N818 - an outcome that run_job catches
    """Ends a job as Failed, with this text as the reason."""


def shorten_reason(text: str) -> str:
    """Cut a reason to the length that the API allows."""
    return text if len(text) <= MAX_REASON_CHARACTERS else text[: MAX_REASON_CHARACTERS - 3] + "..."


def explain_failure(
    argv: Sequence[str], end: ProcessEnd, *, host: str | None, log_tail: Sequence[str], isolation: Isolation
) -> str:
    """The text for a failed process: the last line of its log, what ended and how, and what this machine cannot give.

    :param argv: the command of the job's author.
    :param host: the instance, if there are several.
    """
    where = f" on {host}" if host else ""
    if end.error is not None:
        text = f"{end.error.rstrip('.')}{where}."
        if "could not be started" in end.error:
            text += (
                " Programs that only the image has, such as smspark-submit, do not exist here: a Python environment"
                " replaces the image, with the files that its entry in the table of images names."
            )
    else:
        command = shlex.join(argv)
        if len(command) > _MAX_COMMAND_CHARACTERS:
            command = command[:_MAX_COMMAND_CHARACTERS] + "..."
        text = f"'{command}'{where} {end.text}."
        if last := next((line.strip() for line in reversed(log_tail) if line.strip()), ""):
            text = f"{_INTERPRETER.sub('', last)} (the last line of the log). {text}"
    if not isolation.has_private_opt_ml and any("/opt/ml" in line for line in log_tail):
        text += f" {isolation.sentence}"
    return text


def explain_timeout(seconds: float) -> str:
    """The text for a job that exceeded the time limit of its request."""
    return (
        "MaxRuntimeExceeded: the job ran longer than its StoppingCondition's MaxRuntimeInSeconds "
        f"({seconds:g} s) and was stopped."
    )
