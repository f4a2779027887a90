"""The faults of a build that have a name."""

from __future__ import annotations


class BuildError(Exception):
    """A fault with a name that the caller knows: ``kind`` goes into the answer."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class StartedJobError(BuildError):
    """The script asked for a job while the pipeline was being built."""
