"""Faults that the user injects for tests: a TOML file says which attempts of which steps fail, and how.

The file is read whenever a step starts, so it can change while the engine runs::

    [[fault]]
    step = "Train"                             # the step; a step of an iteration by its own name
    exception = "SageMaker.CAPACITY_ERROR"     # any type that a RetryPolicy can name
    attempts = 2                               # the first two attempts of the step fail; by default 1
    pipeline = "demo"                          # only in this pipeline; by default in all
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.toml_file import TomlFileError, read_toml
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.engine.rules.retry_policy import EXCEPTION_REASONS

if TYPE_CHECKING:
    from pathlib import Path

_KEYS = {"step", "exception", "attempts", "pipeline"}


def find_fault(path: Path | None, *, pipeline: str, step: str, attempt: int) -> str | None:
    """The exception type with which this attempt of a step is to fail, if any.

    :param path: the file of faults; None, or a file that does not exist, means no faults.
    :param attempt: counted from 1.
    :raises StepError: the file cannot be read, or is wrong.
    """
    if path is None or not path.exists():
        return None
    try:
        faults = read_toml(path, what="The file of faults").get("fault", [])
    except TomlFileError as error:
        raise StepError(str(error)) from error
    for number, fault in enumerate(faults if isinstance(faults, list) else [], start=1):
        if (
            not isinstance(fault, dict)
            or not _KEYS.issuperset(fault)
            or fault.get("exception") not in EXCEPTION_REASONS
        ):
            raise StepError(
                f"Fault {number} in {path} must have 'step', 'exception' (one of {', '.join(EXCEPTION_REASONS)}), and"
                " may have 'attempts' and 'pipeline'."
            )
        is_meant = fault.get("step") == step and fault.get("pipeline", pipeline) == pipeline
        if is_meant and attempt <= int(fault.get("attempts", 1)):
            return str(fault["exception"])
    return None
