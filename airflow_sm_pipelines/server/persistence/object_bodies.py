"""Bodies of S3 objects as files, and GetObject of large ones straight from their file.

A body is written once and read when somebody asks for it. Names are random, so that no key ever becomes a path. The
objects' other data are in :mod:`.s3_objects`.
"""

from __future__ import annotations

import io
import re
import time
import uuid
from collections import deque
from dataclasses import replace
from typing import IO, TYPE_CHECKING, Any

from airflow_sm_pipelines.server.http.messages import FilePart, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LARGE_BYTES = 4 << 20
"""Smaller bodies pass through moto."""

_GRACE_SECONDS = 30.0
"""A body is kept this long after nothing refers to it, because a reader may have found the object just before."""

_COPY_BYTES = 1 << 20
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/\d+")
_ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})


class BodyStore:
    """A directory of bodies.

    :param directory: the directory; made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._discarded: deque[tuple[float, Path]] = deque()

    def write(self, source: IO[bytes]) -> str:
        """Keep a body.

        :param source: an open file; read from its start.
        :return: the body's name.
        """
        name = uuid.uuid4().hex
        path = self._path(name)
        path.parent.mkdir(exist_ok=True)
        source.seek(0)
        try:
            with path.open("xb") as file:
                while block := source.read(_COPY_BYTES):
                    file.write(block)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return name

    def open(self, name: str) -> BodyFile:
        """A body as a file object, which opens the file only to read.

        :param name: what `write` gave.
        """
        return BodyFile(self._path(name), name)

    def discard(self, name: str) -> None:
        """Drop a body, a little later.

        :param name: what `write` gave.
        """
        now = time.monotonic()
        self._discarded.append((now, self._path(name)))
        while self._discarded and self._discarded[0][0] < now - _GRACE_SECONDS:
            self._discarded.popleft()[1].unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Remove all other bodies: a killed server had written them and not acknowledged them.

        :param names: the bodies that something refers to.
        """
        for directory in self._directory.iterdir():
            for file in directory.iterdir():
                if file.name not in names:
                    file.unlink()

    def close(self) -> None:
        """Remove what was discarded."""
        while self._discarded:
            self._discarded.popleft()[1].unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / name[:2] / name


class BodyFile(io.RawIOBase):
    """A stored body that takes the place of moto's own buffer. It keeps no file open, and is read only.

    :param path: the file.
    :param body_name: the body's name in its store.
    """

    def __init__(self, path: Path, body_name: str) -> None:
        self.path = path
        self.body_name = body_name
        self._position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset from the start.

        :raises io.UnsupportedOperation: for any other starting point.
        """
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("a stored body is read from its start")
        self._position = offset
        return offset

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, or all that are left."""
        with self.path.open("rb") as file:
            file.seek(self._position)
            data = file.read(-1 if size is None else size)
        self._position += len(data)
        return data

    def close(self) -> None:
        """Do nothing. moto closes what it drops, and the store decides when the file goes."""


def read_large_object(request: Request, bucket: Any, apply: Callable[[Request], Response]) -> Response | None:
    """The answer to a GET of a large stored object: moto judges the request and gives the headers, the file the body.

    moto would read the whole object into memory, twice, for each range that a client asks for.

    :param request: a GET request in path style.
    :param bucket: moto's bucket, or None.
    :param apply: carries a request out.
    :return: the answer; None where the object is small, the request no plain GetObject, or the answer has no body.
    """
    name = request.path.lstrip("/").partition("/")[2]
    options = {word for word in request.query if not word.startswith("X-Amz")}
    if bucket is None or not name or bucket.policy or options - {"versionId"}:
        return None
    key = _find_key(bucket, name, request.query.get("versionId"))
    body = getattr(key, "_value_buffer", None)
    if key is None or key.contentsize < LARGE_BYTES or not isinstance(body, BodyFile) or key.storage_class in _ARCHIVED:
        return None
    answer = apply(Request({**request.environ, "REQUEST_METHOD": "HEAD"}, b""))
    headers = {header.lower(): value for header, value in answer.headers}
    # Somebody may have written the object meanwhile: the headers must be those of this body.
    if headers.get("etag") != key.etag:
        return None
    if answer.status == 206 and (found := _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))):
        first, last = int(found.group(1)), int(found.group(2))
    elif answer.status == 200:
        first, last = 0, key.contentsize - 1
    else:
        return None
    # In an answer to HEAD, moto's composite checksums lack the number of parts: better none than a wrong one.
    dropped = ("content-length", "x-amz-checksum-")
    kept = tuple((header, value) for header, value in answer.headers if not header.lower().startswith(dropped))
    return replace(answer, body=b"", headers=kept, file=FilePart(body.path, first, last - first + 1))


def _find_key(bucket: Any, name: str, version: str | None) -> Any:
    versions = bucket.keys.getlist(name, [])
    if version is None:
        return versions[-1] if versions else None
    return next((key for key in versions if key.version_id == version), None)
