"""The errors the engine answers with: what the service would send back, and what ends a step.

What belongs here: error types only. Their texts stand where the rule is.
"""

from __future__ import annotations

from airflow_sm_pipelines.exceptions import SageMakerPipelinesError


class ServiceError(SageMakerPipelinesError):
    """An API call that SageMaker would refuse, with the error code it would send.

    :param code: ``ValidationException``, ``ResourceNotFound``, ``ConflictException`` or ``ResourceLimitExceeded``.
    :param message: the service's text where it is known (facts of recorded answers), ours otherwise.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class StepError(SageMakerPipelinesError):
    """Something that ends a step as Failed; its message becomes the step's ``FailureReason``."""


class StepFault(StepError):  # noqa: N818 - SageMaker's word for it
    """A failure that is none of the step's own doing, so that a retry may help.

    :param exception_type: what retry policies call it, such as ``Step.SERVICE_FAULT``.
    """

    def __init__(self, exception_type: str, message: str) -> None:
        super().__init__(message)
        self.exception_type = exception_type


class ResolutionError(StepError):
    """An expression or condition that has no value in the scope of this execution."""


class StateError(SageMakerPipelinesError):
    """A status change the state machine does not allow: a fault of the engine, never of its caller."""


def validation_error(message: str) -> ServiceError:
    """A ``ValidationException`` with this message."""
    return ServiceError("ValidationException", message)


def not_found(message: str) -> ServiceError:
    """A ``ResourceNotFound`` with this message."""
    return ServiceError("ResourceNotFound", message)


def conflict(message: str) -> ServiceError:
    """A ``ConflictException`` with this message."""
    return ServiceError("ConflictException", message)
