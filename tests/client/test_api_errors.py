"""What an error of AWS becomes: its class, and a message that says what to do."""

from __future__ import annotations

import re
import traceback
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

import botocore.exceptions
import pytest
from botocore.exceptions import ClientError, NoCredentialsError, NoRegionError

from airflow_sm_pipelines.client.api_errors import mapped_errors, parse_error_class
from airflow_sm_pipelines.exceptions import (
    PipelineAccessError,
    PipelineApiError,
    PipelineRequestError,
    PipelineUnavailableError,
)

THEN = "Mon, 02 Nov 2026 08:00:00 GMT"


def refusal(code: str, message: str, status: int = 403, date: str = THEN) -> ClientError:
    metadata: Any = {"HTTPStatusCode": status, "HTTPHeaders": {"date": date}}
    return ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": metadata}, "StartIt")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("InvalidSignatureException", "Signature expired: 20261130T080000Z is now earlier than 20261130T081000Z"),
        ("InvalidSignatureException", "Signature not yet current: 20261130T080000Z is still later than"),
        ("SignatureDoesNotMatch", "Signature expired: 20261130T080000Z is now earlier than 20261130T081000Z"),
        ("SignatureDoesNotMatch", "The request signature we calculated does not match"),
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
    ],
)
def test_a_wrong_clock_is_named_and_may_be_right_later(code: str, message: str) -> None:
    expected = pytest.raises(PipelineUnavailableError, match=r"clock of this machine .* says Mon, 02 Nov.*: set ")
    with expected as caught, mapped_errors("StartIt", "p"):
        raise refusal(code, message)
    assert (caught.value.code, caught.value.is_final) == ("ClockSkew", False)


@pytest.mark.parametrize("date", ["now", "", "yesterday"])
@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
def test_a_wrong_key_is_no_wrong_clock(code: str, date: str) -> None:
    date = format_datetime(datetime.now(timezone.utc), usegmt=True) if date == "now" else date
    with pytest.raises(PipelineAccessError), mapped_errors("StartIt", "p"):
        raise refusal(code, "The request signature we calculated does not match", date=date)


@pytest.mark.parametrize(
    ("error", "final", "hint"),
    [
        (botocore.exceptions.SSOTokenLoadError(error_msg="gone"), True, "gone. Run 'aws sso login' as the user"),
        (botocore.exceptions.UnauthorizedSSOTokenError(), True, "run aws sso login with"),
        (botocore.exceptions.LoginRefreshRequired(), True, "reauthenticate using 'aws login'"),
        (botocore.exceptions.LoginTokenLoadError(error_msg="gone"), True, "gone. Run 'aws login' as the user"),
        (botocore.exceptions.RefreshWithMFAUnsupportedError(), True, "MFA token required"),
        (botocore.exceptions.CredentialRetrievalError(provider="p", error_msg="slow"), False, "from p: slow"),
        (botocore.exceptions.MetadataRetrievalError(error_msg="slow"), False, "metadata: slow"),
    ],
)
def test_credentials_that_cannot_be_had_are_final_where_no_waiting_helps(
    error: Exception, final: bool, hint: str
) -> None:
    with pytest.raises(PipelineApiError, match=re.escape(hint)) as caught, mapped_errors("StartIt", "p"):
        raise error
    assert (caught.value.is_final, isinstance(caught.value, PipelineAccessError)) == (final, final)


@pytest.mark.parametrize("error", [NoCredentialsError(), NoRegionError()])
def test_what_is_missing_is_told_with_what_to_do(error: Exception) -> None:
    expected = pytest.raises(PipelineAccessError, match=r"connection.*'sm-pipelines local exec --'")
    with expected, mapped_errors("StartIt", "p"):
        raise error


def test_the_status_decides_for_codes_that_are_not_known() -> None:
    assert parse_error_class("X", http_status=302) is PipelineUnavailableError
    assert parse_error_class("X", http_status=429) is PipelineUnavailableError
    assert parse_error_class("X", http_status=500) is PipelineUnavailableError
    assert parse_error_class("X", http_status=503) is PipelineUnavailableError
    assert parse_error_class("X", http_status=400) is PipelineApiError
    assert parse_error_class("X", http_status=418) is PipelineApiError
    assert parse_error_class("ValidationException", http_status=302) is PipelineRequestError


def test_a_traceback_shows_the_service_s_text_and_commands_nothing() -> None:
    try:
        with mapped_errors("StartIt", "p"):
            try:
                raise ConnectionError("\x1b[2Jlower")
            except ConnectionError as lower:
                raise refusal("Odd", "no\r::error ::\x1b]0;title\x07") from lower
    except PipelineApiError:
        text = traceback.format_exc()
    assert "\\x1b]0;title\\x07" in text
    assert "\\x1b[2Jlower" in text
    assert "\x1b" not in text
    assert "\r" not in text
    assert " ::error" not in text
