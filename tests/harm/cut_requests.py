"""Requests that end too early, or say twice where they end: sent as bytes, on a connection that then breaks."""

from __future__ import annotations

import json
import random
import socket
import struct
from dataclasses import dataclass

from airflow_sm_pipelines.server.http.messages import make_authorization

BUCKET = "cut"
_TIMEOUT_SECONDS = 30.0


class UnfitAnswerError(AssertionError):
    """An answer that a broken request should not get."""


@dataclass(frozen=True)
class WholeRequest:
    """A request that is right as it is.

    :param framing: the headers that say where the body ends.
    :param body: the body as sent, in its chunks.
    """

    start: str
    framing: tuple[str, ...]
    body: bytes

    def to_bytes(self, framing: tuple[str, ...] | None = None) -> bytes:
        """The request as sent."""
        head = "\r\n".join([self.start, "Host: 127.0.0.1", *(self.framing if framing is None else framing)])
        return head.encode() + b"\r\n\r\n" + self.body


def make_requests(chance: random.Random) -> list[WholeRequest]:
    """One request of each way to send a body."""
    content = chance.randbytes(chance.choice((1, 100, 70_000)))
    size = len(content)
    chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (size, content)
    signed = b"%x;chunk-signature=ab\r\n%s\r\n0;chunk-signature=cd\r\n\r\n" % (size, content)
    trailed = b"%x\r\n%s\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (size, content)
    name = f"PUT /{BUCKET}/{chance.randrange(1 << 60):x} HTTP/1.1"
    s3 = f"Authorization: {make_authorization('us-east-1', 's3')}"
    streaming = (s3, "Content-Encoding: aws-chunked", f"x-amz-decoded-content-length: {size}")
    document = json.dumps({"PipelineName": "x" * chance.randrange(1, 2000)}).encode()
    sagemaker = f"Authorization: {make_authorization('us-east-1', 'sagemaker')}"
    form = b"Action=SendMessage&QueueUrl=http%3A%2F%2F127.0.0.1%2F123456789012%2Fnone&MessageBody=" + b"x" * size
    sqs = f"Authorization: {make_authorization('us-east-1', 'sqs')}"
    return [
        WholeRequest(name, (s3, f"Content-Length: {size}"), content),
        WholeRequest(name, (s3, "Transfer-Encoding: chunked"), chunks),
        WholeRequest(
            name,
            (*streaming, "x-amz-content-sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD", f"Content-Length: {len(signed)}"),
            signed,
        ),
        WholeRequest(
            name,
            (*streaming, "x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER", f"Content-Length: {len(trailed)}"),
            trailed,
        ),
        WholeRequest(
            "POST / HTTP/1.1",
            (sagemaker, "X-Amz-Target: SageMaker.DescribePipeline", f"Content-Length: {len(document)}"),
            document,
        ),
        WholeRequest(
            "POST / HTTP/1.1",
            (sqs, "Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(form)}"),
            form,
        ),
    ]


#: Headers that, added to a right request, let its body end in two places.
SECOND_ENDS = (
    "Content-Length: 1", "content-length: 0", "Transfer-Encoding: chunked", "Transfer-Encoding: identity",
    "Transfer-Encoding : chunked", "Content-Length: 1_0", "Content-Length: +10", "Content-Length: 0x10",
    f"Content-Length: {1 << 64}", "Transfer-Encoding: gzip, chunked",
)  # fmt: skip


def send_broken(port: int, seed: int) -> str:
    """Send a request that is cut at some byte, or has two ends, and give how it was answered: a status, or none.

    :raises UnfitAnswerError: for a success, or an error of the server's.
    """
    chance = random.Random(seed)
    request = chance.choice(make_requests(chance))
    if chance.random() < 0.25:
        second = chance.choice(SECOND_ENDS)
        text, is_cut = request.to_bytes((*request.framing, second)), False
    else:
        whole = request.to_bytes()
        # Half of the cuts fall into the head or near the ends of chunks, where the reader decides something.
        near = chance.choice((len(whole) - len(request.body), len(whole) - chance.randrange(1, 20)))
        text, is_cut = whole[: chance.choice((near, chance.randrange(len(whole))))], True
        if len(text) == len(whole):
            text = text[:-1]
    answer = _exchange(port, text, is_reset=is_cut and chance.random() < 0.3)
    words = answer.split(None, 2)
    if not words or not answer.startswith(b"HTTP/"):
        # http.server answers a cut request line, and a request of HTTP/0.9, without a status line, or not at all.
        return "none"
    status = int(words[1])
    if status >= 500 or status < 300:
        raise UnfitAnswerError(f"seed {seed}: {text[:200]!r}... ({len(text)} bytes) gave {answer[:300]!r}")
    return str(status)


def _exchange(port: int, text: bytes, *, is_reset: bool) -> bytes:
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_SECONDS) as connection:
        try:
            connection.sendall(text)
            if is_reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b""
            connection.shutdown(socket.SHUT_WR)
            while block := connection.recv(65536):
                answer += block
        except ConnectionError:
            return answer
    return answer
