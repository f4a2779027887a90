"""Whether a request was signed with a key: SigV4 and SigV2, in the header, in the address, or in a form of S3's.

The request is signed again with the key's secret, by botocore's own signers, and the two signatures are compared. Which
keys there are is not here. The signatures of the single chunks of an upload are not checked, only the request's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import SplitResult, quote, unquote, urlsplit

from airflow_sm_pipelines.server.http.host_rules import parse_virtual_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_sm_pipelines.server.http.messages import Request

_ALGORITHM = "AWS4-HMAC-SHA256"
_FIELD = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]+)")
_VERSION_2 = re.compile(r"AWS ([^:\s]+):(\S+)")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_S3_SERVICES = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
"""Services whose paths are signed as they are sent."""

_SKEW = timedelta(minutes=15)
"""How far the client's clock may be from this one: AWS's own figure."""

_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
_NO_TIME = datetime(2, 1, 1, tzinfo=timezone.utc)
"""For a text that is no time: far from now."""


Place: TypeAlias = Literal["header", "address", "form"]
"""Where a signature stands."""


@dataclass(frozen=True, slots=True)
class Signature:
    """A request's signature as it was sent.

    :param place: where it stood: a header cannot be part of a link, an address can, and a form comes from a page.
    :param version: of the algorithm.
    :param token: the session's token; empty where there is none.
    :param region: and service: what a signature of version 4 is for.
    :param time: when it was made; of version 2 in an address, when it ends.
    :param seconds: how long it counts.
    :param names: the signed headers, in lower case.
    :param policy: the form's policy as sent.
    """

    place: Place
    version: Literal[2, 4]
    key_id: str
    value: str
    token: str = ""
    region: str = ""
    service: str = "s3"
    time: str = ""
    seconds: str = ""
    names: tuple[str, ...] = ()
    policy: str = ""


def read_signature(request: Request) -> Signature | None:
    """The signature of a request; None where it has none, or one of a kind that is not known.

    :param request: a request. A form's signature is found only with its body.
    """
    header = str(request.environ.get("HTTP_AUTHORIZATION", ""))
    token = str(request.environ.get("HTTP_X_AMZ_SECURITY_TOKEN", ""))
    if header.startswith(_ALGORITHM):
        fields = dict(_FIELD.findall(header))
        time = str(request.environ.get("HTTP_X_AMZ_DATE", ""))
        return _read_version_4("header", fields, token=token, time=time)
    if found := _VERSION_2.fullmatch(header):
        return Signature("header", 2, found[1], found[2], token, time=str(request.environ.get("HTTP_DATE", "")))
    query = request.query
    if "X-Amz-Signature" in query:
        fields = {name: query.get(f"X-Amz-{name}", "") for name in ("Credential", "SignedHeaders", "Signature")}
        times = {"time": query.get("X-Amz-Date", ""), "seconds": query.get("X-Amz-Expires", "")}
        return _read_version_4("address", fields, token=query.get("X-Amz-Security-Token", ""), **times)
    if "Signature" in query and "AWSAccessKeyId" in query:
        token, time = query.get("x-amz-security-token", ""), query.get("Expires", "")
        return Signature("address", 2, query["AWSAccessKeyId"], query["Signature"], token, time=time)
    if request.method == "POST" and request.content_type.startswith("multipart/form-data") and request.body:
        return _read_form_signature(read_form(request))
    return None


def find_fault(signature: Signature, request: Request, secret: str, *, now: datetime) -> str | None:
    """What is wrong with a signature; None where it is right.

    :param signature: the request's.
    :param request: the request. Without its body only what the headers say is checked.
    :param secret: the secret of the signature's key.
    :param now: with a time zone.
    """
    if signature.place == "form":
        return _find_form_fault(signature, request, secret, now)
    fault = _find_time_fault(signature, now)
    if fault is not None:
        return fault
    declared = str(request.environ.get("HTTP_X_AMZ_CONTENT_SHA256", ""))
    if request.body and _DIGEST.fullmatch(declared) and hashlib.sha256(request.body).hexdigest() != declared:
        return "The request's body is not the one that x-amz-content-sha256 was made from."
    make = _sign_again if signature.version == 4 else _sign_again_version_2
    # Some clients sign an address in another spelling than they send.
    for address in dict.fromkeys(_iter_addresses(request, signature)):
        if _is_same(make(signature, request, secret, address), signature.value):
            return None
    return "The signature is not the one that this key's secret gives."


def needs_body(signature: Signature, request: Request) -> bool:
    """Whether a signature cannot be checked before the body is read.

    :param signature: the request's.
    :param request: the request.
    """
    if signature.place == "form":
        return True
    return signature.version == 4 and not (
        "HTTP_X_AMZ_CONTENT_SHA256" in request.environ or (signature.place == "address" and _is_s3(signature))
    )


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form that uploads an object, their names in lower case; ``file`` has the length of the file.

    :param request: a request whose body is a multipart form.
    """
    from werkzeug.formparser import parse_form_data

    environ: Any = {**request.environ, "wsgi.input": BytesIO(request.body), "CONTENT_LENGTH": str(len(request.body))}
    try:
        _, fields, files = parse_form_data(environ)
    except ValueError:
        return {}
    found = {name.lower(): value for name, value in fields.items()}
    if (file := files.get("file")) is not None:
        found["file"] = str(file.stream.seek(0, 2))
    return found


def _read_version_4(place: Place, fields: Mapping[str, str], *, token: str, **members: str) -> Signature | None:
    scope = fields.get("Credential", "").rsplit("/", 4)
    if len(scope) != 5 or not fields.get("Signature"):
        return None
    names = tuple(fields.get("SignedHeaders", "").lower().split(";"))
    return Signature(
        place, 4, scope[0], fields["Signature"], token, region=scope[2], service=scope[3], names=names, **members
    )


def _read_form_signature(form: Mapping[str, str]) -> Signature | None:
    token, policy = form.get("x-amz-security-token", ""), form.get("policy", "")
    if "x-amz-signature" in form:
        fields = {"Credential": form.get("x-amz-credential", ""), "Signature": form["x-amz-signature"]}
        return _read_version_4("form", fields, token=token, policy=policy, time=form.get("x-amz-date", ""))
    if "signature" in form and "awsaccesskeyid" in form:
        return Signature("form", 2, form["awsaccesskeyid"], form["signature"], token, policy=policy)
    return None


def _is_same(right: str, given: str) -> bool:
    # Of texts, compare_digest takes only those that are ASCII.
    return hmac.compare_digest(right.encode(), given.encode("utf-8", "replace"))


def _find_time_fault(signature: Signature, now: datetime) -> str | None:
    if signature.version == 2 and signature.place == "address":
        is_over = not signature.time.isdigit() or now.timestamp() > int(signature.time)
        return "The link has ended." if is_over else None
    made = _parse_time(signature.time)
    if signature.place == "address":
        seconds = int(signature.seconds) if signature.seconds.isdigit() and len(signature.seconds) < 8 else 0
        is_over = not made - _SKEW <= now <= made + timedelta(seconds=seconds)
        return "The link has ended." if is_over else None
    # A header of version 2 may have its time in x-amz-date, which is signed as a header.
    if signature.version == 2 and not signature.time:
        return None
    if abs(now - made) > _SKEW:
        return f"The request was signed at {signature.time or 'no time'}, and it is {now:{_TIME_FORMAT}} here."
    return None


def _parse_time(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=timezone.utc)
    except ValueError:
        try:
            return parsedate_to_datetime(text).astimezone(timezone.utc)
        except (ValueError, TypeError, IndexError):
            return _NO_TIME


def _is_s3(signature: Signature) -> bool:
    return signature.service in _S3_SERVICES


def _iter_addresses(request: Request, signature: Signature) -> Sequence[SplitResult]:
    """The request's address as sent, and with the spelling that AWS asks for."""
    raw = str(request.environ.get("REQUEST_URI") or request.environ.get("RAW_URI") or "/")
    if not raw.startswith("/"):
        raw = urlsplit(raw)._replace(scheme="", netloc="").geturl() or "/"
    path, _, query = raw.partition("?")
    pairs = [pair for pair in query.split("&") if pair and not _holds_signature(pair)]
    plain = (path, "&".join(pairs))
    spelled = (quote(unquote(path), safe="/-_.~"), "&".join(map(_respell, pairs)))
    addresses = [SplitResult("http", request.host, *one, "") for one in (plain, spelled)]
    if signature.version == 4:
        return addresses
    # The resource begins with the bucket, and botocore ends a bucket's own with a slash.
    bucket = parse_virtual_bucket(request.host)
    resources = [f"/{bucket}{one.path}" if bucket else one.path for one in addresses]
    slashed = [path if path.count("/") > 1 else f"{path}/" for path in resources]
    return [addresses[0]._replace(path=path) for path in [*resources, *slashed]]


def _holds_signature(pair: str) -> bool:
    return pair.partition("=")[0] in {"X-Amz-Signature", "Signature", "AWSAccessKeyId", "Expires"}


def _respell(pair: str) -> str:
    name, _, value = pair.partition("=")
    return "=".join(quote(unquote(text.replace("+", " ")), safe="-_.~") for text in (name, value))


def _read_headers(request: Request) -> Any:
    """All headers, as botocore holds them."""
    from botocore.awsrequest import HTTPHeaders

    headers = HTTPHeaders()
    for name, value in request.environ.items():
        if name.startswith("HTTP_") or name in {"CONTENT_TYPE", "CONTENT_LENGTH"}:
            text = str(value).encode("latin-1", "replace").decode("utf-8", "replace")
            headers[name.removeprefix("HTTP_").replace("_", "-").lower()] = text
    return headers


def _sign_again(signature: Signature, request: Request, secret: str, address: SplitResult) -> str:
    """The signature of version 4 that the secret gives."""
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest, HTTPHeaders
    from botocore.credentials import Credentials

    headers = _read_headers(request)
    signed = HTTPHeaders()
    for name in signature.names:
        for value in headers.get_all(name, []):
            signed[name] = value
    signer_class: Any = S3SigV4Auth if _is_s3(signature) else SigV4Auth
    signer = signer_class(Credentials(signature.key_id, secret), signature.service, signature.region)
    signer.headers_to_sign = lambda _: signed
    made = AWSRequest(request.method, address.geturl(), data=request.body)
    if signature.place == "address" and _is_s3(signature):
        made.headers["X-Amz-Content-SHA256"] = "UNSIGNED-PAYLOAD"
    elif (digest := headers.get("x-amz-content-sha256")) is not None:
        made.headers["X-Amz-Content-SHA256"] = digest
    made.context["timestamp"] = f"{_parse_time(signature.time):{_TIME_FORMAT}}"
    return str(signer.signature(signer.string_to_sign(made, signer.canonical_request(made)), made))


def _sign_again_version_2(signature: Signature, request: Request, secret: str, address: SplitResult) -> str:
    """The signature of version 2 that the secret gives."""
    from botocore.auth import HmacV1Auth
    from botocore.credentials import Credentials

    signer: Any = HmacV1Auth(Credentials(signature.key_id, secret))
    headers = _read_headers(request)
    # Where x-amz-date is signed, the line of the date is empty.
    time = "" if signature.place == "header" and "x-amz-date" in headers else signature.time
    signer._get_date = lambda: time
    if signature.place == "address":
        del headers["x-amz-security-token"]
        if signature.token:
            headers["x-amz-security-token"] = signature.token
    return str(signer.get_signature(request.method, address, headers))


def _find_form_fault(signature: Signature, request: Request, secret: str, now: datetime) -> str | None:
    if not _is_same(_sign_policy(signature, secret), signature.value):
        return "The form's signature is not the one that this key's secret gives."
    try:
        policy = json.loads(base64.b64decode(signature.policy))
        end = datetime.fromisoformat(str(policy["expiration"]).replace("Z", "+00:00"))
        is_over = now > end.astimezone(timezone.utc)
        conditions = list(policy["conditions"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "The form's policy cannot be read."
    if is_over:
        return "The form has ended."
    form = {**read_form(request), "bucket": _find_bucket(request)}
    broken = [condition for condition in conditions if not _is_met(condition, form)]
    return f"The form does not keep to its policy: {json.dumps(broken[0])}." if broken else None


def _sign_policy(signature: Signature, secret: str) -> str:
    from botocore.auth import HmacV1Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    credentials = Credentials(signature.key_id, secret)
    if signature.version == 2:
        version_2: Any = HmacV1Auth(credentials)
        return str(version_2.sign_string(signature.policy))
    version_4: Any = SigV4Auth(credentials, signature.service, signature.region)
    made = AWSRequest("POST", "http://127.0.0.1/")
    made.context["timestamp"] = f"{_parse_time(signature.time):{_TIME_FORMAT}}"
    return str(version_4.signature(signature.policy, made))


def _find_bucket(request: Request) -> str:
    return parse_virtual_bucket(request.host) or request.path.strip("/")


def _is_met(condition: Any, form: Mapping[str, str]) -> bool:
    """Whether a form keeps to a condition of its policy (Amazon S3, "Creating a POST policy")."""
    match condition:
        case {**equal} if equal:
            return all(form.get(str(name).lower()) == str(value) for name, value in equal.items())
        case ["eq", str(name), value]:
            return form.get(name.lower().removeprefix("$")) == str(value)
        case ["starts-with", str(name), str(start)]:
            return form.get(name.lower().removeprefix("$"), "").startswith(start)
        case ["content-length-range", int(least) | str(least), int(most) | str(most)]:
            return int(least) <= int(form.get("file", "-1")) <= int(most)
    return False
