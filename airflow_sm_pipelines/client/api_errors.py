"""Turns botocore's errors into ours, by error code and never by message text.

A retry depends on four questions: does the thing exist, may the caller use it, is the request right, does the service
answer? Each has a class in :mod:`airflow_sm_pipelines.exceptions`.
"""

from __future__ import annotations

import time
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
from airflow_sm_pipelines.local_endpoint import START_ENDPOINT
from airflow_sm_pipelines.loopback import is_loopback_url
from airflow_sm_pipelines.printable_text import clean_log_text

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
    # Credentials that a profile, a single sign-on or "aws login" should have given.
    "ConfigNotFound",
    "ConfigParseError",
    "InfiniteLoopConfigError",
    "InvalidConfigError",
    "LoginAuthorizationCodeError",
    "LoginError",
    "LoginInsufficientPermissions",
    "LoginRefreshRequired",
    "LoginTokenLoadError",
    "MissingDependencyException",
    "NoAuthTokenError",
    "RefreshWithMFAUnsupportedError",
    "SSOError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
    "UnknownCredentialError",
    "UnknownTokenProviderError",
}
_REQUEST = {
    "ValidationException",
    "ValidationError",
    "InvalidParameterValue",
    "ParamValidationError",
    "SerializationException",
}
_CONFLICT = {"ConflictException", "ResourceInUse", "IdempotentParameterMismatch"}
_EXPIRED = {"ExpiredToken", "ExpiredTokenException"}

_UNAVAILABLE = _EXPIRED | {
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
    "ClockSkew",
    "UnreadableAnswer",
    "IncompleteReadError",
    # The machine's or the container's source of credentials did not answer.
    "CredentialRetrievalError",
    "MetadataRetrievalError",
}
_CLOCK_SKEW = {"RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture"}
_MAYBE_CLOCK_SKEW = {"InvalidSignatureException", "SignatureDoesNotMatch", "AuthFailure"}
_MAX_SKEW_SECONDS = 240.0
"""How far a clock may be off before a signature may be refused for it; AWS allows five minutes."""
_LOCAL_EXEC = "run this under 'sm-pipelines local exec --', which needs no AWS account."
_ADVICE = {
    "NoCredentialsError": (
        "there are no AWS credentials. Fill in AWS Access Key ID and AWS Secret Access Key of the Airflow connection "
        f"(aws_conn_id), or its extra's profile_name; or set AWS_PROFILE or AWS_ACCESS_KEY_ID; or {_LOCAL_EXEC}"
    ),
    "PartialCredentialsError": (
        "a part of the AWS credentials is missing. Give the access key's id together with its secret."
    ),
    "NoRegionError": (
        'no region is known. Put "region_name" into the extra of the Airflow connection (aws_conn_id), give '
        f"region_name, or set AWS_DEFAULT_REGION; or {_LOCAL_EXEC}"
    ),
}
"""What is wrong, and what to do, for errors that botocore names only."""
_SIGN_IN_AGAIN = {
    "LoginTokenLoadError": "aws login",
    "SSOTokenLoadError": "aws sso login",
    "TokenRetrievalError": "aws sso login",
}
"""The command that helps, for errors of a log-in whose text does not name it."""


def parse_error_class(code: str, *, http_status: int | None = None) -> type[PipelineApiError]:
    """The class of our error tree for an AWS error code.

    :param code: ``Error.Code`` of the answer, or the name of the botocore exception where there was no answer.
    :param http_status: the answer's HTTP status; it decides only for codes that are not known here. A redirect comes
        from something in between: AWS's JSON services send none.
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
    if http_status is not None and (http_status >= 500 or http_status == 429 or 300 <= http_status < 400):
        return PipelineUnavailableError
    return PipelineApiError


def needs_new_client(error: PipelineApiError) -> bool:
    """Whether the credentials were refused: a connection may have been given others, which a new client reads."""
    return error.code in _EXPIRED or isinstance(error, PipelineAccessError)


@contextmanager
def mapped_errors(call: str, target: str) -> Iterator[None]:
    """Turn any botocore error inside the block into one of ours, which says what was called on what.

    A ``KeyError`` inside the block means that the answer lacks what was asked for, so it did not come from the service.

    :param call: the API operation, such as ``StartPipelineExecution``.
    :param target: what it was called on: a pipeline's name, an execution's ARN, an S3 URI.
    :raises PipelineApiError: one of its subclasses, chosen by :func:`parse_error_class`.
    """
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as BotoConnectionError
    from botocore.parsers import ResponseParserError

    try:
        with _cleaned():
            yield
    except ClientError as error:
        answer = error.response.get("Error", {})
        code = str(answer.get("Code", "Unknown"))
        metadata = error.response.get("ResponseMetadata", {})
        status = metadata.get("HTTPStatusCode")
        message = f"{call} on '{target}' was refused: {code}: {_as_sentence(answer.get('Message') or 'no message')}"
        date = str(metadata.get("HTTPHeaders", {}).get("date") or "")
        if _is_clock_skew(code, str(answer.get("Message")), date):
            message += " The clock of this machine differs from the service's" + (
                f", which says {date}" if date else ""
            )
            message += ": set this machine's clock."
            code = "ClockSkew"
        raise parse_error_class(code, http_status=status)(message, code=code) from error
    except (HTTPClientError, BotoConnectionError) as error:
        code = type(error).__name__
        message = f"{call} on '{target}' got no answer: {code}: {_as_sentence(error)}"
        if is_loopback_url(getattr(error, "kwargs", {}).get("endpoint_url")):
            message += f" {START_ENDPOINT}"
        raise PipelineUnavailableError(message, code=code) from error
    except BotoCoreError as error:
        code = type(error).__name__
        message = f"{call} on '{target}' was not sent: {_ADVICE.get(code, f'{code}: {error}')}"
        if code in _SIGN_IN_AGAIN:
            message = f"{_as_sentence(message)} Run '{_SIGN_IN_AGAIN[code]}' as the user who runs this."
        if code == "IncompleteReadError":
            message = f"{call} on '{target}' was answered by half: {error}"
        raise parse_error_class(code)(message, code=code) from error
    except (ResponseParserError, KeyError) as error:
        # For instance, the log-in page of a proxy in between, with status 200: botocore takes it for an empty answer.
        reason = f"{type(error).__name__}: {error}"
        message = f"{call} on '{target}' was answered by something that is not SageMaker: {reason}"
        raise PipelineUnavailableError(message, code="UnreadableAnswer") from error


@contextmanager
def _cleaned() -> Iterator[None]:
    """Clean the text of errors that leave the block: a traceback shows it, and the service wrote it."""
    try:
        yield
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None:
            cause.args = tuple(clean_log_text(one) if isinstance(one, str) else one for one in cause.args)
            cause = cause.__cause__ or cause.__context__
        raise


def _as_sentence(text: object) -> str:
    """The text with a full stop, since sentences of ours may follow."""
    found = str(text).rstrip()
    return found if found.endswith((".", "!", "?")) else f"{found}."


def _is_clock_skew(code: str, message: str, date: str) -> bool:
    """Whether a signature was refused for its time.

    Most services have one code for a wrong key and for a wrong clock. The answer's date tells them apart, and the text:
    "Signature expired: 20261130T080000Z is now earlier than ..." and "Signature not yet current: ...".

    :param date: the answer's ``Date`` header; empty where it has none.
    """
    if code in _CLOCK_SKEW:
        return True
    if code not in _MAYBE_CLOCK_SKEW:
        return False
    return message.startswith(("Signature expired", "Signature not yet current")) or _is_far_from_now(date)


def _is_far_from_now(date: str) -> bool:
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return False
    return abs(moment.timestamp() - time.time()) > _MAX_SKEW_SECONDS
