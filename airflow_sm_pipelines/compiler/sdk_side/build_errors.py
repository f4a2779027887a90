"""The errors of a build whose cause has a name."""

from __future__ import annotations


class BuildError(Exception):
    """An error with a cause that the caller knows.

    :param kind: the cause's name in the answer: ``function_missing``, ``arguments``, ``no_sdk``, ``no_pipeline``,
        ``started_job``, ``local_mode``, ``script_error`` or ``protocol``.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StartedJobError(BuildError):
    """The script started a job while the pipeline was being built."""
