"""HTTP itself: connections that are kept, bodies in pieces, and peers that do not keep to the rules."""

from __future__ import annotations

import http.client
import socket
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server import request_router
from airflow_sm_pipelines.server.http.listener import Listener
from airflow_sm_pipelines.server.http.messages import make_authorization

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.endpoint_stand_in import Endpoint

S3_SCOPE = "AWS4-HMAC-SHA256 Credential=a/20250101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


SIGNED = f"Authorization: {make_authorization('us-east-1', 's3')}\r\n".encode()
CHUNKED_PUT = b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + SIGNED


def exchange(endpoint: Endpoint, text: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        connection.sendall(text)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while block := connection.recv(65536):
            answer += block
    return answer


def test_one_connection_serves_many_requests(endpoint: Endpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=20)
    connection.connect()
    opened = connection.sock
    for _ in range(3):
        connection.request("GET", "/")
        assert connection.getresponse().read()
        assert connection.sock is opened
    connection.close()


def test_a_chunked_body_is_put_together(endpoint: Endpoint) -> None:
    endpoint.client("s3").create_bucket(Bucket="bucket")
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=20)
    signed = {"Authorization": make_authorization("us-east-1", "s3")}
    connection.request("PUT", "/bucket/key", body=iter([b"one ", b"two"]), headers=signed, encode_chunked=True)
    assert connection.getresponse().status == 200
    assert endpoint.client("s3").get_object(Bucket="bucket", Key="key")["Body"].read() == b"one two"


def test_a_head_request_gets_headers_only(endpoint: Endpoint) -> None:
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"12345")
    assert s3.head_object(Bucket="bucket", Key="key")["ContentLength"] == 5
    assert exchange(endpoint, b"HEAD /bucket/key HTTP/1.1\r\nHost: localhost\r\n\r\n").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nshort", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", b"413"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1_0\r\n\r\n0123456789", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: +10\r\n\r\n0123456789", b"400"),
        (b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length : 10\r\n\r\n0123456789", b"400"),
        (CHUNKED_PUT + b"Content-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"400"),
        (CHUNKED_PUT + b"\r\n10\r\nabc", b"400"),
        (CHUNKED_PUT + b"\r\n1000000\r\nabc", b"400"),
        (CHUNKED_PUT + b"\r\n10000000000000000\r\nabc", b"413"),
        (b"GET / HTTP/1.1\r\n\r\n", b"403"),
        (b"GARBAGE\r\n\r\n", b"400"),
    ],
    ids=[
        "negative",
        "no-number",
        "cut-short",
        "bad-chunk",
        "too-large",
        "underscore",
        "plus",
        "space-in-name",
        "two-lengths",
        "cut-chunk",
        "cut-large-chunk",
        "endless-chunk",
        "no-host",
        "garbage",
    ],
)
def test_a_request_that_breaks_the_rules_is_refused_and_the_endpoint_goes_on(
    endpoint: Endpoint, text: bytes, status: bytes
) -> None:
    answer = exchange(endpoint, text)
    assert status in answer.split(b"\n", 1)[0] + answer[:200]
    assert endpoint.client("s3").list_buckets()["Buckets"] == []


def test_a_body_is_bounded_though_its_length_is_not_told(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_router, "MAX_OBJECT_BYTES", 10)
    chunk = b"8\r\n12345678\r\n"
    head = b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b" 413 " in exchange(endpoint, head + chunk * 2 + b"0\r\n\r\n")


def test_a_client_that_is_still_sending_can_read_why_it_was_refused(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_router, "MAX_OBJECT_BYTES", 10)
    with pytest.raises(ClientError, match="at most 10 are taken") as caught:
        endpoint.client("s3").put_object(Bucket="b", Key="k", Body=b"x" * (8 << 20))
    assert caught.value.response["Error"]["Code"] == "EntityTooLarge"
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=20)
    connection.request("PUT", "/b/k", body=b"x" * (8 << 20))
    assert connection.getresponse().status == 413


def test_a_connection_goes_on_after_a_chunked_body(endpoint: Endpoint) -> None:
    body = b"3\r\nabc\r\n0\r\nsome: trailer\r\n\r\n"
    answer = exchange(endpoint, CHUNKED_PUT + b"\r\n" + body + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2
    assert b"NoSuchBucket" in answer
    assert b"ListAllMyBucketsResult" in answer


@pytest.mark.parametrize("kind", ["STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"])
def test_a_body_in_aws_s_chunks_is_stored_whole_or_refused(endpoint: Endpoint, kind: str) -> None:
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="bucket")
    signature = ";chunk-signature=ab" if "HMAC" in kind else ""
    body = f"3{signature}\r\nabc\r\n0{signature}\r\n\r\n"

    def put(key: str, sent: str, length: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=20)
        headers = {"Authorization": S3_SCOPE, "Content-Encoding": "aws-chunked", "x-amz-content-sha256": kind}
        connection.request("PUT", f"/bucket/{key}", sent.encode(), {**headers, "x-amz-decoded-content-length": length})
        return connection.getresponse().status

    assert put("whole", body, "3") == 200
    assert s3.get_object(Bucket="bucket", Key="whole")["Body"].read() == b"abc"
    assert {put("cut", body[:end], "3") for end in range(len(body))} == {400}
    assert {put("cut", body, length) for length in ("2", "4", str(1 << 64), "-1", "x", "1_0")} == {400}
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket="bucket")["Contents"]] == ["whole"]


def test_expect_is_answered_before_the_body_comes(endpoint: Endpoint) -> None:
    endpoint.client("s3").create_bucket(Bucket="bucket")
    head = (
        "PUT /bucket/key HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n"
        f"Authorization: {S3_SCOPE}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(1024) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"body")
        assert connection.recv(1024).startswith(b"HTTP/1.1 200")


def test_metadata_names_keep_their_underscores(endpoint: Endpoint) -> None:
    s3 = endpoint.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="key", Body=b"", Metadata={"sm_name": "value"})
    assert s3.head_object(Bucket="bucket", Key="key")["Metadata"] == {"sm_name": "value"}


@pytest.mark.parametrize("port", [70000, -1])
def test_a_port_that_does_not_exist_is_refused_in_words(port: int, endpoint: Endpoint) -> None:
    with pytest.raises(LocalEndpointError, match=r"Port .* cannot be used"):
        Listener("127.0.0.1", port, endpoint.router)


def test_a_port_that_is_taken_is_refused_in_words(endpoint: Endpoint, tmp_path: Path) -> None:
    with pytest.raises(LocalEndpointError, match=rf"Port {endpoint.port} of 127\.0\.0\.1 cannot be used"):
        Listener("127.0.0.1", endpoint.port, endpoint.router)
