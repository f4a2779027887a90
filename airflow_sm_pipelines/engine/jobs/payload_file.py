"""The file by which payloads go to a model's process and its answers come back: per payload a line of JSON, then bytes.

``programs/serving_program.py`` reads and writes the same, on its own.
"""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def copy_headers(content_type: str | None, accept: str | None) -> dict[str, str | None]:
    """The headers that a payload goes with."""
    return {"content_type": content_type, "accept": accept}


def write_payload(file: IO[bytes], body: bytes, headers: Mapping[str, str | None]) -> None:
    """Append one payload."""
    file.write(json.dumps({**headers, "size": len(body)}).encode() + b"\n" + body)


def read_payloads(file: IO[bytes]) -> Iterator[bytes]:
    """Give the bodies in the order they were written."""
    while line := file.readline():
        yield file.read(json.loads(line)["size"])
