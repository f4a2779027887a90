"""The body of an HTTP request, read strictly: by its length or in chunks, and out of the chunks of AWS's own coding.

Whatever two readers could take for different bodies is refused: two lengths, a length beside chunks, `1_0` or `+10` for
a number, an end that came too early. No number that a client sends reserves memory.
"""

from __future__ import annotations

import io
import re
from email.errors import FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import Message

# The parser also notes what it misses in the parts of a form, which is read later.
_HEADER_DEFECTS = (FirstHeaderLineIsContinuationDefect, MissingHeaderBodySeparatorDefect)
_LENGTH = re.compile(r"[0-9]{1,20}")
_CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,20})[ \t]*(?:;[^\r\n]*)?\r\n")
_TRAILER = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*\r?\n")
_MAX_LINE_BYTES = 8192
_MAX_TRAILERS = 100
_BLOCK_BYTES = 1 << 20


class RequestFramingError(Exception):
    """The bytes do not say where the body ends, or end before it does."""


class BodyTooLargeError(Exception):
    """The body is larger than the service takes."""


def read_body(stream: io.BufferedIOBase, headers: Message, *, max_bytes: int) -> bytes:
    """The whole body of a request, without the chunks of its transfer.

    :param stream: the connection, after the request's headers.
    :param headers: the request's headers.
    :param max_bytes: the largest body that is taken.
    :raises RequestFramingError: when the body does not keep to RFC 9112, sections 6 and 7, or is cut short.
    :raises BodyTooLargeError: when it is larger than `max_bytes`.
    """
    if any(isinstance(defect, _HEADER_DEFECTS) for defect in headers.defects):
        raise RequestFramingError("one of the request's headers is not 'name: value'")
    lengths = headers.get_all("Content-Length", [])
    codings = headers.get_all("Transfer-Encoding", [])
    if lengths and codings:
        raise RequestFramingError("it has both a Content-Length and a Transfer-Encoding; send one of them")
    if len(lengths) > 1 or len(codings) > 1:
        raise RequestFramingError("its length is given twice; send one Content-Length or one Transfer-Encoding")
    if codings:
        if codings[0].strip(" \t").lower() != "chunked":
            raise RequestFramingError(f"its Transfer-Encoding is {codings[0][:40]!r}, and only 'chunked' is read")
        return _read_chunked(stream, max_bytes)
    if not lengths:
        return b""
    length = parse_length(lengths[0], "Content-Length")
    _check_size(length, max_bytes)
    return _read_exactly(stream, length)


def parse_length(text: str, name: str) -> int:
    """A number of bytes: decimal digits and nothing else.

    :param text: a header's value.
    :param name: the header's name, for the error.
    :raises RequestFramingError: when it is none.
    """
    text = text.strip(" \t")
    if not _LENGTH.fullmatch(text):
        raise RequestFramingError(f"its {name} {text[:40]!r} is not a number of bytes")
    return int(text)


def decode_aws_chunked(body: bytes, *, decoded_bytes: int | None) -> bytes:
    """The content of a body in AWS's own coding ``aws-chunked``. Signatures of chunks and trailers are left out.

    :param body: chunks as in HTTP, their signatures as extensions.
    :param decoded_bytes: how long the content is by ``x-amz-decoded-content-length``; None where that is not given.
    :raises RequestFramingError: when a chunk is cut or not well-formed, or the content has another length.
    """
    stream = io.BytesIO(body)
    content = _read_chunked(stream, len(body))
    if stream.read(1):
        raise RequestFramingError("bytes follow its last chunk")
    if decoded_bytes is not None and decoded_bytes != len(content):
        raise RequestFramingError(
            f"its chunks have {len(content)} bytes, and x-amz-decoded-content-length is {decoded_bytes}"
        )
    return content


def _read_chunked(stream: io.BufferedIOBase, max_bytes: int) -> bytes:
    content = io.BytesIO()
    for size in _iter_chunk_sizes(stream):
        _check_size(content.tell() + size, max_bytes)
        content.write(_read_exactly(stream, size))
        if stream.read(2) != b"\r\n":
            raise RequestFramingError("one of its chunks does not end where its size says")
    for _ in range(_MAX_TRAILERS):
        line = stream.readline(_MAX_LINE_BYTES)
        if line == b"\r\n":
            return content.getvalue()
        if not _TRAILER.fullmatch(line):
            raise RequestFramingError("what follows its last chunk is no trailer")
    raise RequestFramingError(f"more than {_MAX_TRAILERS} trailers follow its last chunk")


def _iter_chunk_sizes(stream: io.BufferedIOBase) -> Iterator[int]:
    """The size of each chunk but the last one; the stream stands at the chunk's first byte."""
    while True:
        found = _CHUNK_HEAD.fullmatch(stream.readline(_MAX_LINE_BYTES))
        if found is None:
            raise RequestFramingError("the size of one of its chunks is missing or is not a hexadecimal number")
        size = int(found.group(1), 16)
        if not size:
            return
        yield size


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BodyTooLargeError(f"The body has {size} bytes or more; at most {max_bytes} are taken.")


def _read_exactly(stream: io.BufferedIOBase, size: int) -> bytes:
    """So many bytes, in blocks: memory is taken for what has come, not for what was announced."""
    if size <= _BLOCK_BYTES:
        blocks = [stream.read(size)]
        missing = size - len(blocks[0])
    else:
        blocks, missing = [], size
        while missing and (block := stream.read(min(missing, _BLOCK_BYTES))):
            blocks.append(block)
            missing -= len(block)
    if missing:
        raise RequestFramingError(f"it ended {missing} bytes too early")
    return b"".join(blocks)
