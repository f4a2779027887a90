"""Object bodies as files: written once, read when asked for, named at random, so that no key ever becomes a path."""

from __future__ import annotations

import io
import time
import uuid
from collections import deque
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: A body is kept this long after nothing refers to it: a reader may have found the object just before.
_GRACE_SECONDS = 30.0
_COPY_BYTES = 1 << 20


class BlobStore:
    """A directory of bodies.

    :param directory: the directory; made where it is missing.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self._doomed: deque[tuple[float, Path]] = deque()

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

    def open(self, name: str) -> BlobFile:
        """A body as a file that opens nothing until it is read.

        :param name: what `write` gave.
        """
        return BlobFile(self._path(name), name)

    def discard(self, name: str) -> None:
        """Drop a body, a little later.

        :param name: what `write` gave.
        """
        now = time.monotonic()
        self._doomed.append((now, self._path(name)))
        while self._doomed and self._doomed[0][0] < now - _GRACE_SECONDS:
            self._doomed.popleft()[1].unlink(missing_ok=True)

    def keep_only(self, names: set[str]) -> None:
        """Remove every body that is not named: what a killed server had written and not acknowledged.

        :param names: the bodies something refers to.
        """
        for directory in self._directory.iterdir():
            for file in directory.iterdir():
                if file.name not in names:
                    file.unlink()

    def close(self) -> None:
        """Remove what was discarded."""
        while self._doomed:
            self._doomed.popleft()[1].unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / name[:2] / name


class BlobFile(io.RawIOBase):
    """A stored body, in the place of moto's own buffer. It holds no file open, and cannot be written.

    :param path: the file.
    :param blob: the body's name in its store.
    """

    def __init__(self, path: Path, blob: str) -> None:
        self.path = path
        self.blob = blob
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
        """Nothing: moto closes what it drops; the store decides when the file goes."""
