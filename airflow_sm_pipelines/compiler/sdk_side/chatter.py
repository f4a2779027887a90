"""Tells what the user's code prints from what the SDK, botocore and other packages print.

Each line of a package begins with a mark when it leaves this process, so that the caller can keep it back.
"""

from __future__ import annotations

import io
import os
import sys
import sysconfig
import threading
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from .project import Project

MARK = "[sm-pipelines: a package] "
"""Begins a line of a package. It is printable: control characters of a child's output become text."""
_OWN = os.path.dirname(os.path.abspath(__file__)) + os.sep  # noqa: PTH100, PTH120 - compared as text
_STANDARD = tuple(f"{os.path.realpath(sysconfig.get_paths()[name])}{os.sep}" for name in ("stdlib", "platstdlib"))


class MarkedStream(io.TextIOBase):
    """A standard stream that marks the lines of packages.

    :param stream: the real one.
    """

    def __init__(self, stream: TextIO, project: Project) -> None:
        super().__init__()
        self._stream = stream
        self._project = project
        self._pending = {True: "", False: ""}
        self._lock = threading.RLock()

    def write(self, text: str) -> int:
        """Write a text, marked where a package wrote it."""
        is_chatter = self._is_chatter(sys._getframe(1))
        with self._lock:
            *lines, self._pending[is_chatter] = (self._pending[is_chatter] + text).split("\n")
            for line in lines:
                self._stream.write(f"{MARK if is_chatter else ''}{line}\n")
        return len(text)

    def flush(self) -> None:
        """Flush the real stream. Half a line waits for its end."""
        self._stream.flush()

    def finish(self) -> None:
        """Write the lines that have no end."""
        for is_chatter, text in self._pending.items():
            if text:
                self._stream.write(f"{MARK if is_chatter else ''}{text}\n")
        self._pending = {True: "", False: ""}
        self._stream.flush()

    def fileno(self) -> int:
        """Give the real stream's descriptor."""
        return self._stream.fileno()

    def writable(self) -> bool:
        """Whether it can be written to: yes."""
        return True

    @property
    def buffer(self) -> Any:
        """The real stream's buffer; what is written there is not marked."""
        return self._stream.buffer

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """The real stream's encoding."""
        return self._stream.encoding

    def _is_chatter(self, frame: Any) -> bool:
        """Whether a package writes: the nearest caller that is neither Python's own library nor the user's code."""
        while frame is not None:
            file = frame.f_code.co_filename
            if file.startswith(_OWN) or self._project.holds(file):
                return False
            is_package = "site-packages" in file or "dist-packages" in file
            if is_package or not (file.startswith(("<", *_STANDARD))):
                return True
            frame = frame.f_back
        return False


def mark_packages(project: Project) -> Callable[[], None]:
    """Mark what packages print, from now on.

    :return: ends it, and writes lines that have no end.
    """
    streams = [MarkedStream(sys.stdout, project), MarkedStream(sys.stderr, project)]
    real = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = streams

    def stop() -> None:
        sys.stdout, sys.stderr = real
        for stream in streams:
            stream.finish()

    return stop
