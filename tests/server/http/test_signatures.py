"""Who has the endpoint's key is answered, whoever it is; a request that was changed, or ended, is not."""

from __future__ import annotations

import dataclasses
import http.client
import io
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import pytest
from botocore import UNSIGNED
from botocore.auth import HmacV1Auth, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from airflow_sm_pipelines.local_endpoint import ACCESS_KEY_ID
from airflow_sm_pipelines.server import access_keys
from airflow_sm_pipelines.server.http.messages import Request
from airflow_sm_pipelines.server.http.peers import PeerRule
from airflow_sm_pipelines.server.http.signatures import Signature, needs_body, read_form, read_signature
from tests.server.endpoint_stand_in import Endpoint, open_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

KEYS = ("key", "a b+c/ü&=?%20", "..", "a//b", "*'()!~")
ROLE = "arn:aws:iam::123456789012:role/Any"


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint that answers only who has its key."""
    with open_endpoint(tmp_path_factory.mktemp("closed") / "state", peers=PeerRule(requires_key=True)) as endpoint:
        endpoint.client("s3").create_bucket(Bucket="bucket")
        yield endpoint


def send(url: str, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    split = urlsplit(url)
    connection = http.client.HTTPConnection(str(split.hostname), split.port or 80, timeout=20)
    try:
        connection.request(method, url.partition(split.netloc)[2] or "/", body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("arguments", [{"aws_secret_access_key": "other"}, {"aws_access_key_id": "AKIAEXAMPLE"}])
@pytest.mark.parametrize("service", ["s3", "iam"])
def test_another_key_gets_the_cure(closed: Endpoint, service: str, arguments: dict[str, str]) -> None:
    client = closed.client(service, **arguments)
    with pytest.raises(ClientError, match="sm-pipelines local env") as caught:
        client.list_buckets() if service == "s3" else client.list_users()
    assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_the_unsigned_get_the_cure(closed: Endpoint) -> None:
    status, body = send(closed.url + "/bucket/key")
    assert (status, b"sm-pipelines local env" in body) == (403, True)
    with pytest.raises(ClientError, match="unsigned"):
        closed.client("s3", config=Config(signature_version=UNSIGNED)).put_object(Bucket="bucket", Key="k", Body=b"1")
    with pytest.raises(ClientError, match="unsigned"):
        closed.client("sts").assume_role_with_web_identity(RoleArn=ROLE, RoleSessionName="me", WebIdentityToken="token")


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_a_signed_header_is_right_for_every_name(closed: Endpoint, key: str, version: str) -> None:
    s3 = closed.client("s3", config=Config(signature_version=version))
    s3.put_object(Bucket="bucket", Key=key, Body=io.BytesIO(b"body"), Metadata={"a": "  b  c "}, Tagging="a=b c")
    assert s3.get_object(Bucket="bucket", Key=key)["Body"].read() == b"body"
    assert key in [one["Key"] for one in s3.list_objects_v2(Bucket="bucket", Prefix=key)["Contents"]]


def test_each_protocol_is_signed_in_its_own_way(closed: Endpoint) -> None:
    assert closed.client("iam").list_users()["Users"] == []
    assert closed.client("sqs").create_queue(QueueName="queue")["QueueUrl"]
    assert closed.client("lambda").list_functions()["Functions"] == []
    with pytest.raises(ClientError, match="Function not found"):
        closed.client("lambda").list_tags(Resource="arn:aws:lambda:us-east-1:123456789012:function:a b")
    assert closed.client("logs").describe_log_groups()["logGroups"] == []
    assert closed.client("sagemaker").describe_pipeline(PipelineName="x")["PipelineName"] == "stand-in"


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_a_presigned_link_works_until_it_ends(
    closed: Endpoint, version: str, addressing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = Config(signature_version=version, s3={"addressing_style": addressing})
    s3 = dataclasses.replace(closed, url=closed.url.replace("127.0.0.1", "localhost")).client("s3", config=config)
    key = "a b+c/ü&="
    put = s3.generate_presigned_url("put_object", Params={"Bucket": "bucket", "Key": key}, ExpiresIn=60)
    get = s3.generate_presigned_url(
        "get_object", Params={"Bucket": "bucket", "Key": key, "ResponseContentType": "text/plain"}, ExpiresIn=60
    )
    # Not every machine resolves bucket.localhost, which clients are told to take for this one.
    host = {"Host": urlsplit(put).netloc}
    put, get = (url.replace(urlsplit(url).netloc, f"127.0.0.1:{closed.port}") for url in (put, get))
    assert send(put, "PUT", b"presigned", host)[0] == 200
    assert send(get, headers=host) == (200, b"presigned")
    assert send(get, "DELETE", headers=host)[0] == 403
    assert send(get.replace("c/", "d/"), headers=host)[0] == 403
    later = datetime.now(timezone.utc) + timedelta(seconds=90)
    monkeypatch.setattr(closed.router.callers, "_read_clock", lambda: later)
    status, body = send(get, headers=host)
    assert (status, b"ended" in body) == (403, True)


def make_form(fields: dict[str, str], content: bytes) -> tuple[bytes, dict[str, str]]:
    parts = [f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: text/plain\r\n\r\n'
    body = "".join(parts).encode() + head.encode() + content + b"\r\n--x--\r\n"
    return body, {"Content-Type": "multipart/form-data; boundary=x"}


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize(
    ("change", "content", "status"),
    [({}, b"12345", 204), ({"key": "other"}, b"12345", 403), ({}, b"1234567890", 403), ({"policy": "e30="}, b"1", 403)],
    ids=["as promised", "another key", "too long", "another policy"],
)
def test_a_form_keeps_to_its_policy(
    closed: Endpoint, version: str, change: dict[str, str], content: bytes, status: int
) -> None:
    s3 = closed.client("s3", config=Config(signature_version=version))
    conditions = [["content-length-range", 1, 8], ["starts-with", "$x-amz-meta-a", "b"], {"bucket": "bucket"}]
    post = s3.generate_presigned_post("bucket", "from form", Fields={"x-amz-meta-a": "bc"}, Conditions=conditions)
    assert send(post["url"], "POST", *make_form({**post["fields"], **change}, content))[0] == status
    assert send(post["url"], "POST", *make_form({"key": "k"}, content))[0] == 403


def signed_request(endpoint: Endpoint, body: bytes, now: datetime) -> AWSRequest:
    request = AWSRequest("POST", f"{endpoint.url}/", {"Content-Type": "application/x-www-form-urlencoded"}, body)
    signer: Any = SigV4Auth(Credentials(ACCESS_KEY_ID, endpoint.secret), "iam", "us-east-1")
    request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
    request.headers["X-Amz-Date"] = request.context["timestamp"]
    text = signer.string_to_sign(request, signer.canonical_request(request))
    signer._inject_signature_to_request(request, signer.signature(text, request))
    return request


BODY = urlencode({"Action": "ListUsers", "Version": "2010-05-08"}).encode()


@pytest.mark.parametrize(
    ("minutes", "change", "status"),
    [
        (0, lambda body, headers: (body, headers), 200),
        (10, lambda body, headers: (body, headers), 200),
        (16, lambda body, headers: (body, headers), 403),
        (-16, lambda body, headers: (body, headers), 403),
        (0, lambda body, headers: (body.replace(b"List", b"Delete"), headers), 403),
        (0, lambda body, headers: (body, {**headers, "Content-Type": "text/plain"}), 403),
        (0, lambda body, headers: (body, {**headers, "X-Amz-Date": "20200101T000000Z"}), 403),
        (0, lambda body, headers: (body, {**headers, "X-Amz-Date": "never"}), 403),
        (0, lambda body, headers: (body, {**headers, "Authorization": "AWS4-HMAC-SHA256"}), 403),
        (0, lambda body, headers: (body, {**headers, "Authorization": headers["Authorization"][:-1] + "é"}), 403),
        (0, lambda body, headers: (body, {**headers, "X-Amz-Security-Token": "1.x"}), 403),
        (0, lambda body, headers: (body, {**headers, "X-Amz-Security-Token": "é"}), 403),
    ],
    ids=["now", "early", "late", "ahead", "body", "header", "date", "no-date", "cut", "odd", "token", "odd-token"],
)  # fmt: skip
def test_what_was_signed_may_not_change(
    closed: Endpoint, minutes: int, change: Callable[..., tuple[bytes, dict[str, str]]], status: int
) -> None:
    request = signed_request(closed, BODY, datetime.now(timezone.utc) - timedelta(minutes=minutes))
    headers = {name: str(value) for name, value in request.headers.items()}
    body, headers = change(BODY, headers)
    assert send(closed.url + "/", "POST", body, headers)[0] == status


def test_a_body_must_be_the_one_that_was_signed(closed: Endpoint) -> None:
    request = AWSRequest("PUT", f"{closed.url}/bucket/changed", data=b"right")
    S3SigV4Auth(Credentials(ACCESS_KEY_ID, closed.secret), "s3", "us-east-1").add_auth(request)
    headers = {name: str(value) for name, value in request.headers.items()}
    assert send(request.url, "PUT", b"wrong", headers)[0] == 403
    assert send(request.url, "PUT", b"right", headers)[0] == 200


def test_keys_that_the_endpoint_gave_out_work_until_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peers = PeerRule(requires_key=True)
    with open_endpoint(tmp_path / "state", peers=peers) as endpoint:
        iam, sts = endpoint.client("iam"), endpoint.client("sts")
        iam.create_user(UserName="me")
        kept = iam.create_access_key(UserName="me")["AccessKey"]
        gone = iam.create_access_key(UserName="me")["AccessKey"]
        iam.delete_access_key(UserName="me", AccessKeyId=gone["AccessKeyId"])
        sessions = [
            sts.assume_role(RoleArn=ROLE, RoleSessionName="me")["Credentials"],
            sts.get_session_token()["Credentials"],
            sts.get_federation_token(Name="me")["Credentials"],
        ]
    with open_endpoint(tmp_path / "state", peers=peers) as endpoint:
        for one in [kept, *sessions]:
            assert make_session_client(endpoint, one).list_buckets()["Buckets"] == []
        for one in [gone, {**sessions[0], "SessionToken": ""}, {**sessions[0], "SessionToken": "9999999999.x"}]:
            with pytest.raises(ClientError, match="is not one of this endpoint"):
                make_session_client(endpoint, one).list_buckets()
        later = datetime.now(timezone.utc) + timedelta(days=2)
        monkeypatch.setattr(endpoint.router.callers, "_read_clock", lambda: later)
        with pytest.raises(ClientError, match="has ended"):
            make_session_client(endpoint, sessions[0]).list_buckets()


def make_session_client(endpoint: Endpoint, key: dict[str, Any]) -> Any:
    token = {"aws_session_token": key["SessionToken"]} if key.get("SessionToken") else {}
    return endpoint.client(
        "s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"], **token
    )


def test_the_owner_needs_the_key_only_for_what_a_link_can_hold(endpoint: Endpoint) -> None:
    own = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    s3 = endpoint.client("s3", **own)
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"body", ACL="public-read")
    params = {"Bucket": "bucket", "Key": "key"}
    assert send(s3.generate_presigned_url("get_object", Params=params)) == (200, b"body")
    assert send(f"{endpoint.url}/bucket/key") == (200, b"body")
    assert send(s3.generate_presigned_url("put_object", Params=params), "PUT", b"x")[0] == 403
    assert send(f"{endpoint.url}/bucket/key", "PUT", b"x")[0] == 403
    link = endpoint.client("iam", **own).generate_presigned_url("create_user", Params={"UserName": "x"})
    assert send(link)[0] == 403
    right = endpoint.client("s3").generate_presigned_url("put_object", Params=params)
    assert send(right, "PUT", b"new")[0] == 200
    answer = endpoint.client("sts").assume_role_with_web_identity(
        RoleArn=ROLE, RoleSessionName="me", WebIdentityToken="token"
    )
    assert make_session_client(endpoint, answer["Credentials"]).list_buckets()["Buckets"]
    assert access_keys.CURE.encode() in send(link)[1].replace(b"&quot;", b'"')


def test_an_old_header_is_signed_by_its_date(closed: Endpoint) -> None:
    request = AWSRequest("GET", f"{closed.url}/?location")
    signer: Any = HmacV1Auth(Credentials(ACCESS_KEY_ID, closed.secret))
    signer.add_auth(request)
    headers = {name: str(value) for name, value in request.headers.items()}
    assert send(request.url, headers=headers)[0] == 200
    assert send(request.url.replace("location", "acl"), headers=headers)[0] == 403


SCOPE = "key/20260101/eu-west-1/s3/aws4_request"
AMZ = "AWS4-HMAC-SHA256"
FORM_4 = {"X-Amz-Credential": SCOPE, "X-Amz-Signature": "value", "X-Amz-Date": "time"}


def from_parts(headers: dict[str, str] | None = None, query: dict[str, str] | None = None) -> Request:
    made = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in (headers or {}).items()}
    return Request({"REQUEST_METHOD": "GET", "QUERY_STRING": urlencode(query or {}), **made}, b"")


def from_form(fields: dict[str, str], method: str = "POST") -> Request:
    body, headers = make_form(fields, b"12345")
    return Request({"REQUEST_METHOD": method, "CONTENT_TYPE": headers["Content-Type"]}, body)


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        pytest.param(
            from_parts(
                {
                    "Authorization": f"{AMZ} Credential={SCOPE}, SignedHeaders=Host;x-a, Signature=value",
                    "X-Amz-Date": "time",
                    "X-Amz-Security-Token": "token",
                }
            ),
            Signature("header", 4, "key", "value", "token", "eu-west-1", "s3", "time", names=("host", "x-a")),
            id="header, version 4",
        ),
        pytest.param(
            from_parts({"Authorization": "AWS key:value", "Date": "time", "X-Amz-Security-Token": "token"}),
            Signature("header", 2, "key", "value", "token", time="time"),
            id="header, version 2",
        ),
        pytest.param(
            from_parts(
                query={
                    "X-Amz-Credential": SCOPE,
                    "X-Amz-SignedHeaders": "host",
                    "X-Amz-Signature": "value",
                    "X-Amz-Date": "time",
                    "X-Amz-Expires": "60",
                    "X-Amz-Security-Token": "token",
                }
            ),
            Signature("address", 4, "key", "value", "token", "eu-west-1", "s3", "time", "60", ("host",)),
            id="address, version 4",
        ),
        pytest.param(
            from_parts(
                query={"AWSAccessKeyId": "key", "Signature": "value", "Expires": "9", "x-amz-security-token": "token"}
            ),
            Signature("address", 2, "key", "value", "token", time="9"),
            id="address, version 2",
        ),
        pytest.param(
            from_form({**FORM_4, "X-Amz-Security-Token": "token", "Policy": "policy"}),
            Signature("form", 4, "key", "value", "token", "eu-west-1", "s3", "time", names=("",), policy="policy"),
            id="form, version 4",
        ),
        pytest.param(
            from_form({"AWSAccessKeyId": "key", "Signature": "value", "x-amz-security-token": "token", "policy": "p"}),
            Signature("form", 2, "key", "value", "token", policy="p"),
            id="form, version 2",
        ),
        pytest.param(from_parts(), None, id="none"),
        pytest.param(from_parts({"Authorization": f"{AMZ} Credential={SCOPE}"}), None, id="no value"),
        pytest.param(from_parts({"Authorization": f"{AMZ} Credential=a/b/c/d, Signature=v"}), None, id="half a scope"),
        pytest.param(from_parts(query={"Signature": "value"}), None, id="no key"),
        pytest.param(from_form({"Signature": "value"}), None, id="a form without a key"),
        pytest.param(from_form(FORM_4, method="PUT"), None, id="no form is put"),
    ],
)
def test_a_signature_is_read_with_all_that_belongs_to_it(request_: Request, signature: Signature | None) -> None:
    assert read_signature(request_) == signature


def test_the_fields_of_a_form_have_lower_case_names_and_the_length_of_the_file() -> None:
    request = from_form({"Key": "K", "X-Amz-Meta-A": "B"})
    assert read_form(request) == {"key": "K", "x-amz-meta-a": "B", "file": "5"}
    assert read_form(Request({**request.environ, "CONTENT_TYPE": "multipart/form-data"}, request.body)) == {}


@pytest.mark.parametrize(
    ("signature", "declared", "needed"),
    [
        (Signature("form", 2, "k", "v"), "", True),
        (Signature("form", 4, "k", "v"), "digest", True),
        (Signature("header", 4, "k", "v"), "", True),
        (Signature("header", 4, "k", "v"), "digest", False),
        (Signature("address", 4, "k", "v", service="s3"), "", False),
        (Signature("address", 4, "k", "v", service="sqs"), "", True),
        (Signature("header", 2, "k", "v"), "", False),
        (Signature("address", 2, "k", "v"), "", False),
    ],
    ids=lambda value: f"{value.place} {value.version} {value.service}" if isinstance(value, Signature) else None,
)
def test_a_body_is_read_first_only_where_the_signature_is_of_it(
    signature: Signature, declared: str, needed: bool
) -> None:
    assert needs_body(signature, from_parts({"X-Amz-Content-SHA256": declared} if declared else {})) is needed


def test_a_form_may_be_signed_with_a_sessions_key(closed: Endpoint) -> None:
    closed.client("s3").create_bucket(Bucket="bucket")  # moto has one state, which other tests' endpoints end with
    session = closed.client("sts").get_session_token()["Credentials"]
    for version in ("s3v4", "s3"):
        s3 = closed.client(
            "s3",
            config=Config(signature_version=version),
            aws_access_key_id=session["AccessKeyId"],
            aws_secret_access_key=session["SecretAccessKey"],
            aws_session_token=session["SessionToken"],
        )
        post = s3.generate_presigned_post("bucket", f"by session {version}")
        assert send(post["url"], "POST", *make_form(post["fields"], b"12345"))[0] == 204
        other = {**post["fields"], "x-amz-security-token": "1.x"}
        assert send(post["url"], "POST", *make_form(other, b"12345"))[0] == 403
