"""One round of the fuzz of the services beside the engine: a request, mostly right, often broken, and its judgement."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import botocore.session
from botocore.exceptions import BotoCoreError
from botocore.serialize import create_serializer

from airflow_sm_pipelines.server.http.messages import Request, Response, make_authorization, read_utc_clock
from airflow_sm_pipelines.server.moto_service import FAILURE_CODE
from tests.fuzz.shape_values import RequestMaker

if TYPE_CHECKING:
    from tests.server.endpoint_stand_in import Endpoint

#: The services that docs/local.md and docs/engine.md name beside the engine's own operations.
SERVICES = ("s3", "sqs", "iam", "sts", "logs", "events", "lambda", "sagemaker", "ce")
#: An answer that costs more time of the processor would be a client's time-out sooner or later.
MAX_SECONDS = 10.0
KNOWN: dict[str, list[Any]] = {
    "Bucket": ["bucket", "bucket", "other-bucket"],
    "Key": ["key", "a/b", "a b/ü"],
    "CopySource": ["bucket/key", "bucket", "/", "bucket/a%20b?versionId=x", "%ff"],
    "QueueName": ["queue", "queue.fifo"],
    "QueueUrl": ["http://127.0.0.1/123456789012/queue", "queue", "http://[", ""],
    "FunctionName": ["function", "arn:aws:lambda:us-east-1:123456789012:function:function"],
    "RoleName": ["role"],
    "logGroupName": ["group"],
    "logStreamName": ["stream"],
    "Rule": ["rule"],
    "EventBusName": ["default", "bus"],
    "UploadId": ["upload"],
    "PartNumber": [1, 2],
    "NextToken": ["", "x", "1", "-1"],
    "nextToken": ["", "x", "f/1"],
    "Marker": ["", "x"],
}
_PIECES = (b"", b"\0", b"\xff", b"%", b"%00", b"%ff", b"<", b"]]>", b"&", b"=", b"{", b"..", b"\r\n")
_HEADERS = (
    ("HTTP_RANGE", "bytes=5-1"), ("HTTP_RANGE", "bytes=-"), ("HTTP_RANGE", "bytes=x-y"), ("HTTP_RANGE", "bytes=1-2,3"),
    ("CONTENT_TYPE", "application/json"), ("CONTENT_TYPE", "multipart/form-data; boundary=x"), ("CONTENT_TYPE", "é"),
    ("HTTP_X_AMZ_CONTENT_SHA256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"), ("HTTP_CONTENT_ENCODING", "gzip"),
    ("HTTP_X_AMZ_COPY_SOURCE", "x"), ("HTTP_X_AMZ_ACL", "x"), ("HTTP_X_AMZ_TAGGING", "a=b=c&&"),
    ("HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM", "NOPE"), ("HTTP_X_AMZ_CHECKSUM_CRC32", "x"), ("HTTP_ACCEPT", "text/html"),
    ("HTTP_IF_MODIFIED_SINCE", "yesterday"), ("HTTP_CONTENT_MD5", "x"), ("HTTP_X_AMZ_TARGET", "Nope.Nope"),
    ("HTTP_AUTHORIZATION", "AWS4-HMAC-SHA256"), ("HTTP_AUTHORIZATION", ""), ("HTTP_AUTHORIZATION", "AWS a:b"),
    ("HTTP_AUTHORIZATION", "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"), ("HTTP_AUTHORIZATION", "Bearer x"),
    ("HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION", "x"), ("HTTP_X_AMZ_OBJECT_LOCK_RETAIN_UNTIL_DATE", "x"),
    ("HTTP_X_AMZ_DATE", "x"), ("HTTP_X_AMZ_META_", "x"), ("HTTP_X_AMZ_MFA", "x"), ("HTTP_X_AMZ_STORAGE_CLASS", "x"),
)  # fmt: skip


class UnfitAnswerError(AssertionError):
    """An answer that no client should get."""


@cache
def load_model(service: str) -> Any:
    """botocore's model of a service."""
    return botocore.session.Session().get_service_model(service)


@dataclass
class ServiceFuzz:
    """Sends random requests to an endpoint.

    :param endpoint: the endpoint, which goes on.
    :ivar counts: how often which service answered how: ``2xx``, ``4xx``, or a failure inside moto, by operation.
    """

    endpoint: Endpoint
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def shoot(self, seed: int) -> str:
        """Send one request.

        :return: how it ended, in a word.
        :raises UnfitAnswerError: for an answer that is late, a page, or an error of the server's.
        """
        service, operation, environ, body = self._choose(random.Random(seed))
        started = time.thread_time()
        answer = self.endpoint.router.call(Request(environ, body))
        taken = time.thread_time() - started
        story = f"seed {seed}: {service}:{operation} {environ} {body[:300]!r}"
        story += f" gave {answer.status} {answer.body[:300]!r}"
        if taken > MAX_SECONDS:
            raise UnfitAnswerError(f"after {taken:.1f} s, {story}")
        end = judge(answer, story)
        self.counts[service, end] += 1
        return end

    def knock(self, seed: int) -> str:
        """Send one request as a caller whom the kernel does not vouch for, and without a right signature.

        :return: how it ended, in a word.
        :raises UnfitAnswerError: for anything but a refusal.
        """
        chance = random.Random(seed)
        _, _, environ, body = self._choose(chance)
        environ, body = _forge(chance, environ, body)
        who = "You are another user."
        refusal = self.endpoint.router.refusal(Request(environ, b"", who))
        answer = refusal or self.endpoint.router.call(Request(environ, body, who))
        if answer.status != 403 or b"AccessDenied" not in answer.body:
            raise UnfitAnswerError(f"seed {seed}: {environ} {body[:300]!r} gave {answer.status} {answer.body[:300]!r}")
        return "4xx"

    def _choose(self, chance: random.Random) -> tuple[str, str, dict[str, Any], bytes]:
        """A service, an operation, and a request to it that may be broken."""
        service = chance.choice(SERVICES)
        operation = chance.choice(load_model(service).operation_names)
        environ, body = self._make(chance, service, operation)
        if chance.random() < 0.4:
            environ, body = _break_bytes(chance, environ, body)
        return service, operation, environ, body

    def _make(self, chance: random.Random, service: str, operation: str) -> tuple[dict[str, Any], bytes]:
        """A request that fits the operation's shape more often than not, as a client would send it."""
        model = load_model(service)
        shape = model.operation_model(operation)
        maker = RequestMaker(chance, KNOWN)
        values = maker.make(shape.input_shape)
        if chance.random() < 0.3:
            values = maker.break_somewhere(values)
        # A text where a list belongs becomes a member for each character: a matter of size, not of form.
        values = json.loads(json.dumps(values).replace("x" * 10_000, ""))
        serializer = create_serializer(model.metadata["protocol"], include_validation=False)
        try:
            sent = serializer.serialize_to_request(values, shape)
        except (BotoCoreError, ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            # botocore cannot write what is broken; another client may.
            broken = json.dumps(values).encode("utf-8", "surrogatepass")
            sent = {**serializer.serialize_to_request({}, _without_input(shape)), "body": broken}
        return _to_environ(sent, service)


def judge(answer: Response, story: str) -> str:
    """How a request ended, in a word.

    :raises UnfitAnswerError: for an answer that clients repeat or cannot read.
    """
    if answer.status >= 500:
        raise UnfitAnswerError(story)
    if answer.body.lstrip()[:9].lower() == b"<!doctype":
        raise UnfitAnswerError(f"a page for people: {story}")
    if ("x-amzn-errortype", FAILURE_CODE) in answer.headers or FAILURE_CODE.encode() in answer.body:
        return "failure in moto"
    return f"{answer.status // 100}xx"


def _without_input(shape: Any) -> Any:
    """The operation as it is where it takes nothing: its address without members."""
    model = {name: value for name, value in shape._operation_model.items() if name != "input"}
    return type(shape)(model, shape.service_model, shape.name)


def _to_environ(sent: dict[str, Any], service: str) -> tuple[dict[str, Any], bytes]:
    body = sent.get("body") or b""
    if isinstance(body, dict):
        body = urlencode(body, errors="surrogatepass")
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    if not isinstance(body, bytes):
        body = json.dumps(body, default=str).encode("utf-8", "surrogatepass")
    headers = {str(name): str(value) for name, value in sent.get("headers", {}).items()}
    query = sent.get("query_string") or {}
    text = query if isinstance(query, str) else urlencode(query, doseq=True, errors="surrogatepass")
    path, _, more = str(sent.get("url_path") or "/").partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": sent.get("method", "POST"),
        "PATH_INFO": path.encode("utf-8", "surrogatepass").decode("latin-1"),
        "QUERY_STRING": "&".join(filter(None, (more, text))),
        "RAW_URI": quote(path, errors="surrogatepass"),
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": make_authorization("us-east-1", load_model(service).signing_name),
    }
    for name, value in headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value.encode("utf-8", "replace").decode("latin-1")
    return environ, body


#: Signatures that are not right: by a known key, by nobody's, of a session that was never opened, and odd ones.
_QUERIES = (
    "X-Amz-Credential=local/20260101/us-east-1/s3/aws4_request&X-Amz-Date={now}&X-Amz-Expires=600&X-Amz-Signature=ab",
    "X-Amz-Credential=local/2026/x/s3/aws4_request&X-Amz-Date={now}&X-Amz-Expires=99999999999999&X-Amz-Signature=",
    "X-Amz-Credential=////&X-Amz-Signature=%ff&X-Amz-Security-Token=9999999999.x",
    "AWSAccessKeyId=local&Signature=ab&Expires=9999999999", "AWSAccessKeyId=&Signature=%00&Expires=-1",
)  # fmt: skip
_HEADS = (
    "", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=ab",
    "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/iam/aws4_request, SignedHeaders=;;é, Signature=é",
    "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/2/x/y/aws4_request, SignedHeaders=host, Signature=ab",
    "AWS4-HMAC-SHA256 Credential=/, Signature=", "AWS local:ab", "AWS :", "AWS4-ECDSA-P256-SHA256 x", "Basic bG9jYWw6",
)  # fmt: skip
_FORM = '--x\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'


def _forge(chance: random.Random, environ: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """The request with a signature that is not right, or none."""
    now = read_utc_clock().strftime("%Y%m%dT%H%M%SZ")
    environ = {**environ, "HTTP_AUTHORIZATION": chance.choice(_HEADS), "HTTP_X_AMZ_DATE": chance.choice((now, "x", ""))}
    kind = chance.randrange(3)
    if kind == 0:
        environ["HTTP_X_AMZ_SECURITY_TOKEN"] = chance.choice(("x", "9999999999.x", "é", "."))
    if kind == 1:
        query = chance.choice(_QUERIES).replace("{now}", now)
        environ |= {"QUERY_STRING": f"{environ['QUERY_STRING']}&{query}", "HTTP_AUTHORIZATION": ""}
        environ["RAW_URI"] = f"{environ['RAW_URI']}?{environ['QUERY_STRING']}"
    if kind == 2:
        names = ("policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "AWSAccessKeyId", "signature", "key")
        values = ("", "e30=", "local", "local/20260101/us-east-1/s3/aws4_request", now, "é", "ab")
        fields = [_FORM.format(name, chance.choice(values)) for name in chance.sample(names, chance.randrange(7))]
        environ |= {
            "REQUEST_METHOD": "POST",
            "CONTENT_TYPE": "multipart/form-data; boundary=x",
            "HTTP_AUTHORIZATION": "",
        }
        body = ("".join(fields) + chance.choice(("--x--\r\n", "", "--x"))).encode()
    return environ, body


def _break_bytes(chance: random.Random, environ: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    """The request with something odd among its bytes, where no client's own code would put it."""
    kind = chance.randrange(6)
    if kind == 0:
        return environ, body[: chance.randrange(len(body) + 1)]
    if kind == 1:
        place = chance.randrange(len(body) + 1)
        return environ, body[:place] + chance.choice(_PIECES) + body[place:]
    if kind == 2:
        name, value = chance.choice(_HEADERS)
        return {**environ, name: value}, body
    if kind == 3:
        method = chance.choice(("GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "X"))
        return {**environ, "REQUEST_METHOD": method}, body
    name = "PATH_INFO" if kind == 4 else "QUERY_STRING"
    text = str(environ[name])
    place = chance.randrange(len(text) + 1)
    return {**environ, name: text[:place] + chance.choice(_PIECES).decode("latin-1") + text[place:]}, body
