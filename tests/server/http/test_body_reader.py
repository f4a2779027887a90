"""The one reader of bodies: what it takes, and that it refuses whatever could be read in two ways."""

from __future__ import annotations

import contextlib
import io
from email.message import Message

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_sm_pipelines.server.http.body_reader import (
    BodyTooLargeError,
    RequestFramingError,
    decode_aws_chunked,
    read_body,
)


def read(body: bytes, *headers: tuple[str, str], max_bytes: int = 1 << 30) -> tuple[bytes, bytes]:
    """The body, and what the next request would begin with."""
    message = Message()
    for name, value in headers:
        message[name] = value
    stream = io.BytesIO(body)
    return read_body(stream, message, max_bytes=max_bytes), stream.read()


CHUNKED = ("Transfer-Encoding", "chunked")
WHOLE = b'5;name="a"\r\nfirst\r\n6 \r\nsecond\r\n0\r\nx-amz-checksum-crc32: abc=\r\nother:\r\n\r\n'


def test_a_length_and_chunks_give_the_body_and_leave_the_rest() -> None:
    assert read(b"bodynext", ("Content-Length", " 4 ")) == (b"body", b"next")
    assert read(b"next") == (b"", b"next")
    assert read(WHOLE + b"next", CHUNKED) == (b"firstsecond", b"next")
    assert read(b"0\r\n\r\nnext", ("transfer-encoding", "Chunked")) == (b"", b"next")


@pytest.mark.parametrize("end", range(len(WHOLE)))
def test_chunks_cut_at_any_byte_are_refused(end: int) -> None:
    with pytest.raises(RequestFramingError):
        read(WHOLE[:end], CHUNKED)


@pytest.mark.parametrize("length", ["", "1_0", "+10", "-1", "0x5", "1 0", "5,5", "٣", "1.0", "1e1", "9" * 21])
def test_a_length_that_is_not_plain_digits_is_refused(length: str) -> None:
    with pytest.raises(RequestFramingError, match="Content-Length"):
        read(b"0123456789", ("Content-Length", length))


@pytest.mark.parametrize("size", ["", "-5", "+5", "0x5", "1_0", "5 5", "g", "f" * 21, ";x"])
def test_a_chunk_s_size_that_is_not_plain_digits_is_refused(size: str) -> None:
    with pytest.raises(RequestFramingError):
        read(size.encode() + b"\r\n" + b"x" * 16 + b"\r\n0\r\n\r\n", CHUNKED)


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Length", "4"), ("Content-Length", "4")],
        [("Content-Length", "4"), ("content-length", "5")],
        [("Content-Length", "4"), CHUNKED],
        [CHUNKED, CHUNKED],
        [("Transfer-Encoding", "gzip, chunked")],
        [("Transfer-Encoding", "chunked, identity")],
        [("Transfer-Encoding", "xchunked")],
    ],
)
def test_a_body_with_two_ends_is_refused(headers: list[tuple[str, str]]) -> None:
    with pytest.raises(RequestFramingError):
        read(b"4\r\nbody\r\n0\r\n\r\n", *headers)


@pytest.mark.parametrize("size", [11, 1 << 32, 1 << 63, 1 << 64])
def test_a_size_above_the_limit_is_refused_before_a_byte_is_read(size: int) -> None:
    with pytest.raises(BodyTooLargeError):
        read(f"{size:x}\r\n".encode(), CHUNKED, max_bytes=10)
    with pytest.raises(BodyTooLargeError):
        read(b"", ("Content-Length", str(size)), max_bytes=10)


@pytest.mark.parametrize("trailers", [b"no colon\r\n\r\n", b" a: b\r\n\r\n", b"a: b\r\n" * 101 + b"\r\n"])
def test_trailers_that_are_none_or_too_many_are_refused(trailers: bytes) -> None:
    with pytest.raises(RequestFramingError):
        read(b"0\r\n" + trailers, CHUNKED)


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=5), st.integers(0, 300), st.binary(max_size=3))
@settings(max_examples=300, deadline=None)
def test_chunks_give_their_content_or_an_error(parts: list[bytes], place: int, change: bytes) -> None:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    assert read(body, CHUNKED) == (b"".join(parts), b"")
    with contextlib.suppress(RequestFramingError, BodyTooLargeError):
        read(body[:place] + change + body[place + 1 :], CHUNKED)


SIGNED = b"5;chunk-signature=ab\r\nfirst\r\n0;chunk-signature=cd\r\nx-amz-checksum-crc32:abc=\n\r\n"


def test_aws_s_own_chunks_give_their_content() -> None:
    assert decode_aws_chunked(SIGNED, decoded_bytes=5) == b"first"
    assert decode_aws_chunked(b"5\r\nfirst\r\n0\r\n\r\n", decoded_bytes=None) == b"first"


@pytest.mark.parametrize("end", range(len(SIGNED)))
def test_aws_s_own_chunks_cut_at_any_byte_are_refused(end: int) -> None:
    with pytest.raises((RequestFramingError, BodyTooLargeError)):
        decode_aws_chunked(SIGNED[:end], decoded_bytes=5)


@pytest.mark.parametrize("length", [4, 6, 1 << 64])
def test_aws_s_own_chunks_of_another_length_than_told_are_refused(length: int) -> None:
    with pytest.raises(RequestFramingError, match="x-amz-decoded-content-length"):
        decode_aws_chunked(SIGNED, decoded_bytes=length)
