"""The errors of the engine: what the service would answer, what ends a step, and what interrupts one.

What belongs here: the types. The text of an error stands where its rule is.
"""

from __future__ import annotations

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError

MAX_REASON_CHARACTERS = 1024
"""How long the ``FailureReason`` of a step, a job or an execution may be."""


class ServiceError(SageMakerPipelinesError):
    """An API call that SageMaker would refuse, with the error code it would send.

    :param code: ``ValidationException``, ``ResourceNotFound``, ``ConflictException`` or ``ResourceLimitExceeded``.
    :param message: the text of the service if recorded answers show it, else ours.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class ModelError(ServiceError):
    """A model behind an endpoint gave no good answer. The members are those of the API's ``ModelError``.

    :param status: the HTTP status of the model's server; 0 if it gave none.
    :param said: what the server said.
    """

    def __init__(self, message: str, *, status: int, said: str, log_stream_arn: str) -> None:
        super().__init__("ModelError", message)
        self.status, self.said, self.log_stream_arn = status, said, log_stream_arn


class StepError(SageMakerPipelinesError):
    """Ends a step as Failed; the message becomes its ``FailureReason``."""


class StepFault(StepError):  # noqa: N818 - SageMaker's word for it
    """A failure that the step did not cause itself, so a retry may help.

    :param exception_type: the name that retry policies have for it, such as ``Step.SERVICE_FAULT``.
    """

    def __init__(self, exception_type: str, message: str) -> None:
        super().__init__(message)
        self.exception_type = exception_type


class ResolutionError(StepError):
    """An expression or a condition that has no value in this execution."""


class StateError(SageMakerPipelinesError):
    """A status change that ``state`` does not allow. The engine is at fault, never its caller."""


class Interrupted(Exception):  # noqa: N818 - a signal between parts of the engine
    """The engine shuts down. What was running runs again after the next start."""


def validation_error(message: str) -> ServiceError:
    """A ``ValidationException`` with this message."""
    return ServiceError("ValidationException", message)


def not_found(message: str) -> ServiceError:
    """A ``ResourceNotFound`` with this message."""
    return ServiceError("ResourceNotFound", message)


def conflict(message: str) -> ServiceError:
    """A ``ConflictException`` with this message."""
    return ServiceError("ConflictException", message)
