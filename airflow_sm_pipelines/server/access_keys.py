"""The keys with which requests to the endpoint may be signed, and whether a caller may call an API.

A right signature is enough, whoever makes the connection. Without one, the caller must be a process of the endpoint's
owner, as the kernel says, and must say so in a header, which no link can set. Which host names and web pages are
answered is in :mod:`.http.host_rules`.

The endpoint's own secret is drawn once for a state directory. The secrets of all other keys are derived from it, so
that nothing has to be kept for a session to work after a restart. A session's token says when it ends.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID, ACCOUNT_ID
from airflow_sm_pipelines.server.http.messages import read_utc_clock
from airflow_sm_pipelines.server.http.signatures import find_fault, needs_body, read_signature

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.server.http.messages import Request, Response
    from airflow_sm_pipelines.server.http.signatures import Signature

_GIVING = frozenset(
    {
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "CreateAccessKey",
        "GetFederationToken",
        "GetSessionToken",
    }
)
"""Operations of IAM and STS whose answers hold a key."""

_SECRET_LENGTH = 40
"""Characters of a secret, as AWS's have."""

CURE = 'In a shell of the endpoint\'s owner, eval "$(sm-pipelines local env)" sets the key.'
"""What a caller does who is refused."""

_UNSIGNED_OPERATIONS = frozenset({"AssumeRoleWithSAML", "AssumeRoleWithWebIdentity"})
"""Calls that no client signs: they bring a token of somebody else's."""


_UNSIGNED = "The request is unsigned."


class AccessKeys:
    """The keys of one endpoint.

    :param secret: the secret of the endpoint's own key, from which the others are derived.
    """

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def find_secret(self, key_id: str, token: str, *, now: datetime) -> str | None:
        """The secret of a key; None for a key that the endpoint has not given out, or whose session has ended.

        :param key_id: the access key.
        :param token: the session's token; empty where the request has none.
        :param now: with a time zone.
        """
        if token:
            end, _, mark = token.partition(".")
            is_right = hmac.compare_digest(mark.encode(), self._derive("session", key_id, end).encode())
            return self._derive("key", key_id) if is_right and now.timestamp() < int(end) else None
        if key_id == ACCESS_KEY_ID:
            return self.secret
        return self._derive("key", key_id) if _is_users_key(key_id) else None

    def with_derived_secrets(self, request: Request, response: Response) -> Response:
        """An answer of IAM or STS in which the key's secret and token are ours; any other answer unchanged.

        moto draws some of them and gives the same example to everybody for others.

        :param request: the request that was answered.
        :param response: moto's answer.
        """
        if request.service not in {"iam", "sts"} or request.operation not in _GIVING or not response.is_success:
            return response
        text = response.body.decode()
        key_id = _find_element(text, "AccessKeyId")
        if key_id is None:
            return response
        text = _set_element(text, "SecretAccessKey", self._derive("key", key_id))
        expiration = _find_element(text, "Expiration")
        if expiration is not None:
            end = str(int(_parse_time(expiration).timestamp()))
            text = _set_element(text, "SessionToken", f"{end}.{self._derive('session', key_id, end)}")
        headers = tuple(pair for pair in response.headers if pair[0].lower() != "content-length")
        return replace(response, body=text.encode(), headers=headers)

    def derive_page_token(self, end: str) -> str:
        """What opens the endpoint's pages.

        :param end: for a link, the second since the epoch at which it ends; empty for a browser's cookie.
        """
        return self._derive("page", end)

    def _derive(self, *parts: str) -> str:
        digest = hmac.new(self.secret.encode(), "\n".join(parts).encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode()[:_SECRET_LENGTH]


class CallerRule:
    """Who may call an API of one endpoint.

    :param keys: the keys that count.
    :param read_clock: gives the time, with a time zone.
    """

    def __init__(self, keys: AccessKeys, read_clock: Callable[[], datetime] = read_utc_clock) -> None:
        self._keys = keys
        self._read_clock = read_clock

    def find_early_refusal(self, request: Request) -> str | None:
        """Why a request is refused by its headers alone; None where its body has to be read.

        :param request: the request, its body not yet read.
        """
        signature = read_signature(request)
        if signature is None:
            may_be_form = request.method == "POST" and request.content_type.startswith("multipart/form-data")
            is_open = request.peer_refusal is None or may_be_form
            return None if is_open else _explain(request, _UNSIGNED)
        if request.peer_refusal is None and signature.place == "header":
            return None
        if needs_body(signature, request) and self._find_secret(signature) is not None:
            return None
        return self._find_refusal(request, signature)

    def awaits_body(self, request: Request) -> bool:
        """Whether nothing is known of a request's caller before its body is read.

        :param request: the request, its body not yet read.
        """
        if request.peer_refusal is None:
            return False
        signature = read_signature(request)
        return signature is None or needs_body(signature, request)

    def find_refusal(self, request: Request) -> str | None:
        """Why a request is refused, in a sentence with the cure; None where it is to be answered.

        :param request: the whole request.
        """
        signature = read_signature(request)
        if signature is not None:
            return self._find_refusal(request, signature)
        if request.peer_refusal is None and _may_be_unsigned(request):
            return None
        return _explain(request, _UNSIGNED)

    def _find_refusal(self, request: Request, signature: Signature) -> str | None:
        if request.peer_refusal is None and (signature.place == "header" or _reads_object(request)):
            return None
        secret = self._find_secret(signature)
        if secret is None:
            return _explain(request, f"The key {signature.key_id[:40]!r} is not one of this endpoint, or has ended.")
        fault = find_fault(signature, request, secret, now=self._read_clock())
        return None if fault is None else _explain(request, fault)

    def _find_secret(self, signature: Signature) -> str | None:
        return self._keys.find_secret(signature.key_id, signature.token, now=self._read_clock())


def _reads_object(request: Request) -> bool:
    return request.service == "s3" and request.method in {"GET", "HEAD"}


def _may_be_unsigned(request: Request) -> bool:
    """Whether the owner may send it without a signature: S3 in a browser or by curl, and what nobody signs."""
    return _reads_object(request) or (request.method == "POST" and request.operation in _UNSIGNED_OPERATIONS)


def _explain(request: Request, fault: str) -> str:
    return " ".join(filter(None, (request.peer_refusal, fault, CURE)))


def _is_users_key(key_id: str) -> bool:
    """Whether IAM has the key of a user, and it is active. Keys of roles need their session's token."""
    from moto.iam.models import iam_backends

    backend: Any = iam_backends[ACCOUNT_ID]["aws"]
    key = backend.access_keys.get(key_id)
    return key is not None and key.user_name is not None and key.status == "Active"


def _find_element(text: str, name: str) -> str | None:
    found = re.search(rf"<{name}>([^<]*)</{name}>", text)
    return found[1] if found else None


def _set_element(text: str, name: str, value: str) -> str:
    return re.sub(rf"<{name}>[^<]*</{name}>", lambda _: f"<{name}>{value}</{name}>", text)


def _parse_time(text: str) -> datetime:
    time = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return time if time.tzinfo else time.replace(tzinfo=timezone.utc)
