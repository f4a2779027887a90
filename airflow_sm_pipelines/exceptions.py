"""The one tree of errors this package raises: what went wrong, where, and what to do next.

Each layer adds its own classes here, so that a caller can catch by cause without importing the layer that raised it::

    SageMakerPipelinesError
        ArgumentError
        DefinitionError
        ParameterError
        PolicyError
        PriceError
        MigrationError
        CompileError
            ScriptNotFoundError
            ScriptMetadataError
            ScriptEnvironmentError
            ScriptFunctionError
            ScriptFailedError
            CompileTimeoutError
            EndpointUnreachableError
        EnvironmentBuildError
        PipelineApiError
            PipelineNotFoundError
            PipelineAccessError
            PipelineRequestError
            PipelineConflictError
            PipelineUnavailableError
        OutputError
        PipelineExecutionFailedError
        LocalEndpointError
        PromotionError

A wrong argument, definition, parameter, policy, price table or script reference is also a ``ValueError``.
"""

from __future__ import annotations


class SageMakerPipelinesError(Exception):
    """Anything this package refuses or fails at; catch this to catch all of it.

    :cvar is_final: whether another try gives the same error; Airflow does not retry a task for such an error.
    """

    is_final: bool = False


class ArgumentError(SageMakerPipelinesError, ValueError):
    """A wrong or missing argument of an operator or a command: its message names the argument."""

    is_final = True


class DefinitionError(SageMakerPipelinesError, ValueError):
    """A pipeline definition that SageMaker could not accept: its message names the place in the document."""

    is_final = True


class ParameterError(SageMakerPipelinesError, ValueError):
    """Pipeline parameter values that do not fit the definition: its message lists every finding."""

    is_final = True


class PolicyError(SageMakerPipelinesError, ValueError):
    """A team's policy that cannot be read or holds what no policy has: its message lists every finding."""

    is_final = True


class PriceError(SageMakerPipelinesError, ValueError):
    """A table of prices that cannot be read: its message says what is wrong in it."""

    is_final = True


class MigrationError(SageMakerPipelinesError, ValueError):
    """A workflow of another orchestrator that cannot be read: its message names the place and what was expected."""


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

    is_final = True


class PipelineAccessError(PipelineApiError):
    """The caller may not make the call, or has no usable credentials or region; a retry changes nothing."""

    is_final = True


class PipelineRequestError(PipelineApiError):
    """The service found the request itself wrong; the same request will be refused again."""

    is_final = True


class PipelineConflictError(PipelineApiError):
    """The pipeline or execution is not in a state that allows the call, or was changed at the same moment."""


class PipelineUnavailableError(PipelineApiError):
    """The service was throttling, out of order, or not reachable: the same call may succeed later."""


class OutputError(SageMakerPipelinesError):
    """A required output of an execution that could not be read: the message names the output and the reason."""


class PipelineExecutionFailedError(SageMakerPipelinesError):
    """An execution that ended as its author counts for failure: the message names the failing steps and reasons.

    :param is_final: whether another try could do nothing about it.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class LocalEndpointError(SageMakerPipelinesError):
    """The local endpoint could not start or could not run: its message says what to change."""


class ScriptNotFoundError(CompileError, ValueError):
    """A reference to a pipeline script that is not there, or that is not ``path.py:function``."""


class ScriptMetadataError(CompileError, ValueError):
    """A pipeline script whose inline metadata is missing or cannot be read."""


class ScriptEnvironmentError(CompileError, EnvironmentBuildError):
    """A pipeline script whose requirements could not be installed, or whose interpreter is missing or has no SDK."""


class ScriptFunctionError(CompileError, ValueError):
    """A pipeline script without the named function, or a function that cannot be called with what is given."""


class ScriptFailedError(CompileError):
    """An exception in a pipeline script, or a script that returned something else than a pipeline.

    :param message: the cause, followed by the script's frames.
    :param traceback_text: the frames of the script's own folder.
    """

    def __init__(self, message: str, *, traceback_text: str = "") -> None:
        super().__init__(message)
        self.traceback_text = traceback_text


class CompileTimeoutError(CompileError, TimeoutError):
    """A pipeline script that did not end in time; its processes were ended."""


class EndpointUnreachableError(CompileError, ConnectionError):
    """An AWS endpoint that the script needed and that did not answer.

    :param endpoint: its URL.
    """

    def __init__(self, message: str, *, endpoint: str) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class PromotionError(SageMakerPipelinesError):
    """A version that an alias may not point to: the message says why, and what would allow it."""

    is_final = True
