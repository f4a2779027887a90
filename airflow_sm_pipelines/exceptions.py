"""The one tree of errors that this package raises: what went wrong, where, and what to do next.

Errors that users may catch are defined here, so that nobody imports the module that raises one to catch it. The errors
in brackets are defined beside the code that raises them: they never leave the engine, or only the command line ends
with them. "final" marks an error that another try would only repeat; the built-in class that an error also is stands
behind it.

    SageMakerPipelinesError
    +-- ArgumentError                      final, ValueError
    +-- DefinitionError                    final, ValueError
    +-- ParameterError                     final, ValueError
    +-- PolicyError                        final, ValueError
    +-- PriceError                         final, ValueError
    +-- MigrationError                     ValueError
    +-- PromotionError                     final
    +-- EnvironmentBuildError
    |   +-- ScriptEnvironmentError         (see below)
    +-- CompileError
    |   +-- ScriptNotFoundError            ValueError
    |   +-- ScriptMetadataError            ValueError
    |   +-- ScriptEnvironmentError         also an EnvironmentBuildError
    |   +-- ScriptFunctionError            ValueError
    |   +-- ScriptFailedError
    |   +-- CompileTimeoutError            TimeoutError
    |   +-- EndpointUnreachableError       ConnectionError
    +-- PipelineApiError
    |   +-- PipelineNotFoundError          final
    |   +-- PipelineAccessError            final
    |   +-- PipelineRequestError           final
    |   +-- OldClientError                 final
    |   +-- PipelineConflictError
    |   |   +-- [AliasMovedError]
    |   +-- PipelineUnavailableError
    +-- PipelineExecutionFailedError       final if whoever raises it says so
    +-- OutputError
    +-- LocalEndpointError
    |   +-- [ImageError]
    |   +-- [ArchiveError]
    |   +-- [TomlFileError]
    |   +-- [WriteRefusedError]
    +-- [ProbeTimeoutError]
    +-- [UnreadableSourceError]
    +-- [ServiceError]
    |   +-- [ModelError]
    +-- [StateError]
    +-- [StepError]
        +-- [StepFault]
        +-- [ResolutionError]
"""

from __future__ import annotations

from airflow_sm_pipelines.printable_text import clean


class SageMakerPipelinesError(Exception):
    """Everything that this package refuses or fails at; catch this to catch all of it.

    :cvar is_final: whether another try gives the same error. Airflow does not retry a task for such an error.
    """

    is_final: bool = False

    def __str__(self) -> str:
        """The message, fit for a terminal and a log: names and reasons in it come from others."""
        return clean(super().__str__())


class ArgumentError(SageMakerPipelinesError, ValueError):
    """A wrong or missing argument of an operator or a command: the message names the argument."""

    is_final = True


class DefinitionError(SageMakerPipelinesError, ValueError):
    """A pipeline definition that SageMaker would refuse: the message names the place in the document."""

    is_final = True


class ParameterError(SageMakerPipelinesError, ValueError):
    """Pipeline parameter values that do not fit the definition: the message lists every finding."""

    is_final = True


class PolicyError(SageMakerPipelinesError, ValueError):
    """A team's policy that cannot be read or has unknown entries: the message lists every finding."""

    is_final = True


class PriceError(SageMakerPipelinesError, ValueError):
    """A table of prices that cannot be read: the message says what is wrong in it."""

    is_final = True


class MigrationError(SageMakerPipelinesError, ValueError):
    """A source that cannot be migrated: the message names the place and what was expected there."""


class PromotionError(SageMakerPipelinesError):
    """A version that an alias may not point to: the message says why, and what would allow it."""

    is_final = True


class EnvironmentBuildError(SageMakerPipelinesError):
    """A Python environment that could not be made: the message has the resolver's own reason."""


class CompileError(SageMakerPipelinesError):
    """A pipeline script that gave no definition: the message names the script and the cause.

    No such error is final: a script calls AWS itself, and its environment comes from a package index.
    """


class ScriptNotFoundError(CompileError, ValueError):
    """A reference to a pipeline script that does not exist, or a reference that is not ``path.py:function``."""


class ScriptMetadataError(CompileError, ValueError):
    """A pipeline script whose inline metadata is missing or cannot be read."""


class ScriptEnvironmentError(CompileError, EnvironmentBuildError):
    """A pipeline script whose requirements cannot be installed, or whose interpreter is missing or has no SDK."""


class ScriptFunctionError(CompileError, ValueError):
    """A pipeline script without the named function, or a function that the given arguments do not fit."""


class ScriptFailedError(CompileError):
    """A pipeline script that raised an exception, or that returned something other than a pipeline.

    :param message: the cause, followed by the script's frames.
    :param traceback_text: the frames of files in the script's own folder.
    """

    def __init__(self, message: str, *, traceback_text: str = "") -> None:
        super().__init__(message)
        self.traceback_text = traceback_text


class CompileTimeoutError(CompileError, TimeoutError):
    """A pipeline script that took too long; its processes were ended."""


class EndpointUnreachableError(CompileError, ConnectionError):
    """An AWS endpoint that the script needed and that did not answer.

    :param endpoint: the endpoint's URL.
    """

    def __init__(self, message: str, *, endpoint: str) -> None:
        super().__init__(message)
        self.endpoint = endpoint


class PipelineApiError(SageMakerPipelinesError):
    """A SageMaker call that was refused.

    :param message: what was called, on what, and what the service answered.
    :param code: the service's error code, such as ``ResourceNotFound``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class PipelineNotFoundError(PipelineApiError):
    """A pipeline, version, alias or execution that does not exist in this account and region."""

    is_final = True


class PipelineAccessError(PipelineApiError):
    """A call that the caller may not make, or for which there are no credentials or no region."""

    is_final = True


class PipelineRequestError(PipelineApiError):
    """A request that the service finds wrong, and would refuse again."""

    is_final = True


class OldClientError(PipelineApiError):
    """A call, or a member of one, that the installed boto3 does not know: the message names a version that does."""

    is_final = True


class PipelineConflictError(PipelineApiError):
    """A pipeline or execution whose state does not allow the call, or that somebody changed at the same moment."""


class PipelineUnavailableError(PipelineApiError):
    """A service that was throttling, out of order or unreachable: the same call may succeed later."""


class PipelineExecutionFailedError(SageMakerPipelinesError):
    """An execution with an end that counts as a failure: the message names the failing steps and the reasons.

    :param is_final: whether another try cannot help.
    """

    def __init__(self, message: str, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.is_final = is_final


class OutputError(SageMakerPipelinesError):
    """A required output of an execution that could not be read: the message names the output and the reason."""


class LocalEndpointError(SageMakerPipelinesError):
    """A local endpoint that could not start or could not go on: the message says what to change."""
