"""Faults that tests ask for: a TOML file says which attempts of which steps fail, and as what.

The file is read when a step starts, so it can be changed while the engine runs::

    [[fault]]
    step = "Train"                             # the step; a ForEach child by its own name
    exception = "SageMaker.CAPACITY_ERROR"     # any type a RetryPolicy can name
    attempts = 2                               # the step's first two attempts fail; 1 by default
    pipeline = "demo"                          # only in this pipeline; in all by default
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.toml_file import read_toml
from airflow_sm_pipelines.engine.rules.errors import StepError
from airflow_sm_pipelines.engine.rules.retry_policy import EXCEPTION_REASONS

if TYPE_CHECKING:
    from pathlib import Path

_KEYS = {"step", "exception", "attempts", "pipeline"}


def find_fault(path: Path | None, *, pipeline: str, step: str, attempt: int) -> str | None:
    """The exception type as which this attempt of a step is to fail, if any.

    :param path: the file of faults; None, or a file that is not there, means no faults.
    :param attempt: from 1.
    :raises StepError: if the file cannot be read or holds something else.
    """
    if path is None or not path.exists():
        return None
    faults = read_toml(path, what="The file of faults").get("fault", [])
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
