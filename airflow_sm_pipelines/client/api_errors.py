"""botocore's errors as ours: one mapping, by error code, never by message text.

A retry decision needs four answers: does it exist, may I, is the request right, is the service there. Each is a
class in
:mod:`airflow_sm_pipelines.exceptions`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import (
    PipelineAccessError,
    PipelineApiError,
    PipelineConflictError,
    PipelineNotFoundError,
    PipelineRequestError,
    PipelineUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOT_FOUND = {
    "ResourceNotFound",
    "ResourceNotFoundException",
    "NoSuchKey",
    "NoSuchBucket",
    "404",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
_ACCESS = {
    "AccessDenied",
    "AccessDeniedException",
    "403",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "SignatureDoesNotMatch",
    "MissingAuthenticationToken",
    "OptInRequired",
    "NoCredentialsError",
    "PartialCredentialsError",
    "NoRegionError",
    "ProfileNotFound",
}
_REQUEST = {
    "ValidationException",
    "ValidationError",
    "InvalidParameterValue",
    "ParamValidationError",
    "SerializationException",
}
_CONFLICT = {"ConflictException", "ResourceInUse", "IdempotentParameterMismatch"}
_UNAVAILABLE = {
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "InternalFailure",
    "InternalError",
    "InternalServerError",
    "InternalServerException",
    "ServiceUnavailable",
    "ServiceUnavailableException",
    "RequestTimeout",
    "RequestTimeoutException",
    "ExpiredToken",
    "ExpiredTokenException",
}


def parse_error_class(code: str, *, http_status: int | None = None) -> type[PipelineApiError]:
    """The class of our error tree for an AWS error code.

    :param code: ``Error.Code`` of the answer, or the name of the botocore exception where there was no answer.
    :param http_status: the answer's HTTP status; it decides only for codes that are not known here.
    """
    for codes, error in (
        (_NOT_FOUND, PipelineNotFoundError),
        (_ACCESS, PipelineAccessError),
        (_REQUEST, PipelineRequestError),
        (_CONFLICT, PipelineConflictError),
        (_UNAVAILABLE, PipelineUnavailableError),
    ):
        if code in codes:
            return error
    if http_status is not None and (http_status >= 500 or http_status == 429):
        return PipelineUnavailableError
    return PipelineApiError


@contextmanager
def mapped_errors(call: str, target: str) -> Iterator[None]:
    """Turn any botocore error inside the block into one of ours that says what was called on what.

    An answer without what was asked for, a ``KeyError`` inside the block, counts as no answer of the service.

    :param call: the API operation, such as ``StartPipelineExecution``.
    :param target: what it was called on: a pipeline's name, an execution's ARN, an S3 URI.
    :raises PipelineApiError: one of its subclasses, chosen by :func:`parse_error_class`.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as BotoConnectionError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", "Unknown"))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        message = f"{call} on '{target}' was refused: {code}: {answer.get('Message') or 'no message'}"
        raise parse_error_class(code, http_status=status)(message, code=code) from error
    except (HTTPClientError, BotoConnectionError) as error:
        code = type(error).__name__
        raise PipelineUnavailableError(f"{call} on '{target}' got no answer: {code}: {error}", code=code) from error
    except BotoCoreError as error:
        code = type(error).__name__
        raise parse_error_class(code)(f"{call} on '{target}' was not sent: {code}: {error}", code=code) from error
    except (ResponseParserError, KeyError) as error:
        # A log-in page of a proxy in between, for instance, with status 200: botocore takes it for an empty answer.
        reason = f"{type(error).__name__}: {error}"
        message = f"{call} on '{target}' was answered by something that is not SageMaker: {reason}"
        raise PipelineUnavailableError(message, code="UnreadableAnswer") from error
