"""Faults that tests ask for: a TOML file says which attempts of which steps fail, and as what.

The file is read when a step starts, so it can be changed while the engine runs::

    [[fault]]
    step = "Train"                             # the step; a ForEach child by its own name
    exception = "SageMaker.CAPACITY_ERROR"     # any type a RetryPolicy can name
    attempts = 2                               # the step's first two attempts fail; 1 by default
    pipeline = "demo"                          # only in this pipeline; in all by default
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.engine.errors import StepError
from airflow_sm_pipelines.engine.retry_policy import EXCEPTION_REASONS

if TYPE_CHECKING:
    from pathlib import Path

_KEYS = {"step", "exception", "attempts", "pipeline"}


def read_toml(path: Path, *, what: str) -> dict[str, Any]:
    """The document in a TOML file.

    :param what: what messages call the file.
    :raises StepError: if it cannot be read.
    """
    tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        with path.open("rb") as file:
            document: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise StepError(f"{what} {path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise StepError(f"{what} {path} is not TOML: {error}.") from error
    return document


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
