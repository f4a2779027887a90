"""Records what the build reads besides the script's folder. A kept build is used only while that is unchanged."""

from __future__ import annotations

import hashlib
import os
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any

_PACKAGES = frozenset({"site-packages", "dist-packages"})


class FileRecorder:
    """Records the user's files outside the script's folder that the build reads.

    :param folder: the script's folder.
    """

    def __init__(self, folder: Path) -> None:
        prefixes = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()}
        prefixes |= {"/proc", "/sys", "/dev", "/etc", "/usr", "/lib", str(folder), str(Path(__file__).parent.parent)}
        self._ignored = tuple(os.path.realpath(prefix) + os.sep for prefix in prefixes)
        self._start = time.time()
        self._seen: set[str] = set()
        self._is_on = True
        sys.addaudithook(self._note)

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or not self._is_on or not isinstance(arguments[0], (str, os.PathLike)):
            return
        mode = arguments[1]
        if mode is None or (isinstance(mode, str) and mode.strip("bt") == "r"):
            self._seen.add(os.path.abspath(arguments[0]))  # noqa: PTH100 - cheap: this runs for every open()

    def digests(self) -> dict[str, str]:
        """The digest of each of the user's files that was read, by its path. Stops the recording."""
        self._is_on = False
        # A module may have been read from bytecode, which changes only at its next import. So its source counts.
        sources = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        found = {}
        for name in sorted(self._seen | {source for source in sources if isinstance(source, str)}):
            path = Path(os.path.realpath(name))
            is_users = not str(path).startswith(self._ignored) and not _PACKAGES.intersection(path.parts)
            # A file that changed after the start was written by the build itself.
            if is_users and path.suffix != ".pyc" and path.is_file() and path.stat().st_ctime < self._start:
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found


def record_variables(folders: list[Path]) -> dict[str, str | None]:
    """Record the environment variables that the user's code reads.

    :param folders: of the user's code.
    :return: the digest of each variable's value by its name, None for an unset one; it fills while the script runs.
    """
    read: dict[str, str | None] = {}
    prefixes = tuple(str(folder) + os.sep for folder in folders)
    # Where os.getenv() and os.environ.get() are defined; "<frozen" from Python 3.11 on.
    lookup_files = (os.__file__, str(sys.modules["_collections_abc"].__file__), "<frozen")
    parent_class: Any = type(os.environ)

    class RecordingEnviron(parent_class):  # type: ignore[misc]
        def __getitem__(self, key: Any) -> Any:
            frame = sys._getframe(1)
            while frame.f_back is not None and frame.f_code.co_filename.startswith(lookup_files):
                frame = frame.f_back
            is_users = frame.f_code.co_filename.startswith(prefixes)
            if is_users and isinstance(key, str):
                read.setdefault(key, None)
            value = super().__getitem__(key)
            if is_users and isinstance(key, str):
                read[key] = hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()
            return value

    os.environ.__class__ = RecordingEnviron
    return read
