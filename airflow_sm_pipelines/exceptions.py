"""The one tree of errors this package raises: what went wrong, where, and what to do next.

Each layer adds its own classes here, so that a caller can catch by cause without importing the layer that raised it.
"""

from __future__ import annotations


class SageMakerPipelinesError(Exception):
    """Anything this package refuses or fails at; catch this to catch all of it."""


class DefinitionError(SageMakerPipelinesError, ValueError):
    """A pipeline definition that SageMaker could not accept: its message names the place in the document."""


class ParameterError(SageMakerPipelinesError, ValueError):
    """Pipeline parameter values that do not fit the definition: its message lists every finding."""


class CompileError(SageMakerPipelinesError):
    """A pipeline script that did not yield a definition: its message names the script and the cause."""


class EnvironmentBuildError(SageMakerPipelinesError):
    """A Python environment that could not be made: its message carries the resolver's own reason."""


class PipelineApiError(SageMakerPipelinesError):
    """A SageMaker call that was refused.

    :param message: what was called, on what, and what the service answered.
    :param code: the service's error code, such as ``ResourceNotFound``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class PipelineNotFoundError(PipelineApiError):
    """The named pipeline, version, alias or execution does not exist in this account and region."""


class PipelineExecutionFailedError(SageMakerPipelinesError):
    """An execution that ended in a way its author counts as failure: the message names the failing steps and their reasons."""


class LocalEndpointError(SageMakerPipelinesError):
    """The local endpoint could not start or could not run: its message says what to change."""
