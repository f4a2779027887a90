"""Records what the build reads besides the script's folder. A kept build is used only while that is unchanged."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import posix
import stat
import sys
import sysconfig
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .machine_calls import find_asking_frame

if TYPE_CHECKING:
    from types import FrameType

    from .project import Project

ALL_VARIABLES = "="
"""Stands for the names of all variables; no variable can be called so."""
_PACKAGES = frozenset({"site-packages", "dist-packages"})


_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_PATH_MODULES = frozenset({"genericpath", "posixpath", "pathlib"})
_ASK_FOR_THE_KIND = frozenset(
    [
        "access",
        "exists",
        "is_dir",
        "is_file",
        "is_mount",
        "is_symlink",
        "isdir",
        "isfile",
        "islink",
        "ismount",
        "lexists",
        "mkdir",
        "realpath",
        "resolve",
    ]
)
"""Functions whose answer depends on what kind of thing lies at a path, not on its size or time."""
_SDK_SETTINGS = ("/etc/xdg/sagemaker/config.yaml", "~/.config/sagemaker/config.yaml")


def names_digest(names: list[str]) -> str:
    """The digest of the names in a folder. What Python and editors put beside the files does not count."""
    counted = sorted(name for name in names if name != "__pycache__" and not name.startswith("."))
    return hashlib.sha256("\0".join(counted).encode("utf-8", "surrogateescape")).hexdigest()


def describe_path(path: Path, *, is_whole: bool) -> str:
    """Say what lies at a path: ``nothing``, or its kind; where `is_whole`, with its size and time of change as well."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return "nothing"
    kind = "folder" if stat.S_ISDIR(found.st_mode) else "file"
    return f"{kind} {found.st_size} {found.st_mtime_ns}" if is_whole else kind


class FileRecorder:
    """Records the user's files outside the script's folder that the build reads, and the folders that it lists.

    Where the user's code only asks whether a file is there, or how large, the answer counts instead of the content.

    The script's folder counts as a whole anyway, except for its hidden files.

    :param own: folders of the compiler's own.
    """

    def __init__(self, project: Project, *, own: list[str]) -> None:
        self._project = project
        self._folder = os.path.realpath(project.folder) + os.sep
        prefixes = {sys.prefix, sys.base_prefix, *sysconfig.get_paths().values(), str(project.scratch.parent)}
        prefixes |= {"/proc", "/sys", "/dev", "/etc", "/usr", "/lib", str(Path(__file__).parent.parent)}
        prefixes |= {folder for folder in own if folder}
        self._ignored = tuple(os.path.realpath(prefix) + os.sep for prefix in prefixes)
        self._start = time.time()
        self._seen: set[str] = set()
        self._asked: dict[str, str] = {}
        self._is_on = True
        sys.addaudithook(self._note)
        for name in ("stat", "lstat", "access"):
            self._watch(name)

    def _watch(self, name: str) -> None:
        """Watch a function that asks about a path: Python tells of no such call by itself."""
        real = getattr(os, name)

        @functools.wraps(real)
        def ask(path: Any, *args: Any, **options: Any) -> Any:
            if self._is_on and isinstance(path, (str, os.PathLike)):
                self._note_question(name, os.path.abspath(os.fspath(path)), sys._getframe(1))  # noqa: PTH100 - as text
            return real(path, *args, **options)

        # Functions that are pickled are looked up in the module that made them; shutil asks what stat can do.
        for module in (os, posix):
            setattr(module, name, ask)
        for abilities in (os.supports_fd, os.supports_dir_fd, os.supports_follow_symlinks, os.supports_effective_ids):
            if real in abilities:
                abilities.add(ask)

    def _note_question(self, name: str, path: str, frame: FrameType | None) -> None:
        asked = name
        while frame is not None and str(frame.f_globals.get("__name__")).split(".")[0] in _PATH_MODULES:
            asked, frame = frame.f_code.co_name, frame.f_back
        is_whole = asked not in _ASK_FOR_THE_KIND
        if path in self._asked and (not is_whole or " " in self._asked[path]):
            return
        if self._counts(Path(path)) and find_asking_frame(frame, self._project) is not None:
            self._asked[path] = describe_path(Path(path), is_whole=is_whole)

    def answers(self) -> dict[str, str]:
        """What the user's code was told of the files that it asked about, by their paths, as `describe_path` says it.

        Paths of the project are seen from the script's folder.
        """
        return {self._name_of(Path(path), path): told for path, told in sorted(self._asked.items())}

    def _note(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._is_on or event not in ("open", "os.listdir", "os.scandir"):
            return
        if not isinstance(arguments[0], (str, os.PathLike)):
            return
        mode, flags = arguments[1:3] if event == "open" else (None, 0)
        is_read = mode.strip("bt") == "r" if isinstance(mode, str) else not (flags or 0) & _WRITES
        if is_read:
            self._seen.add(os.path.abspath(arguments[0]))  # noqa: PTH100 - cheap: this runs for every open()

    def has_read(self, content: bytes) -> bool:
        """Say whether one of the user's files that were read so far holds just these bytes."""
        for name in sorted(self._seen):
            path = Path(name)
            with contextlib.suppress(OSError):
                if self._project.holds(name) and path.stat().st_size == len(content) and path.read_bytes() == content:
                    return True
        return False

    def digests(self) -> dict[str, str | None]:
        """The digest of each of the user's files that was read, by its path; None for one that was missing.

        Paths of the project are seen from the script's folder. Stops the recording.
        """
        self._is_on = False
        # A module may have been read from bytecode, which changes only at its next import. So its source counts.
        sources = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        found: dict[str, str | None] = {}
        for name in sorted(self._seen | {source for source in sources if isinstance(source, str)}):
            path = Path(os.path.realpath(name))
            # A file that changed after the start was written by the build itself.
            if self._counts(path) and (not path.exists() or path.stat().st_ctime < self._start):
                found[self._name_of(path, name)] = self._digest(path)
        for name in _SDK_SETTINGS:
            found[os.path.expanduser(name)] = self._digest(Path(os.path.expanduser(name)))  # noqa: PTH111 - as text
        return found

    def _counts(self, path: Path) -> bool:
        if str(path).startswith(self._ignored) or _PACKAGES.intersection(path.parts) or path.suffix == ".pyc":
            return False
        if not f"{path}{os.sep}".startswith(self._folder):
            return True
        return any(part.startswith(".") for part in Path(os.path.relpath(path, self._folder)).parts)

    def _name_of(self, path: Path, name: str) -> str:
        return os.path.relpath(path, self._folder) if self._project.holds(str(path)) else name

    @staticmethod
    def _digest(path: Path) -> str | None:
        try:
            if path.is_dir():
                return names_digest([entry.name for entry in path.iterdir()])
            return hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            return None


def record_variables(project: Project) -> dict[str, str | None]:
    """Record the environment variables that the user's code reads, and those by which the SDK is set.

    :return: the digest of each variable's value by its name, None for an unset one, and at `ALL_VARIABLES` that of all
        names, where they are listed; it fills while the script runs.
    """
    read: dict[str, str | None] = {}
    given = dict(os.environ)  # what the script or the SDK sets itself does not come from outside
    parent_class: Any = type(os.environ)

    class RecordingEnviron(parent_class):  # type: ignore[misc]
        def __getitem__(self, key: Any) -> Any:
            if isinstance(key, (str, bytes)):
                name = os.fsdecode(key)
                is_users = name.startswith("SAGEMAKER_") or find_asking_frame(sys._getframe(1), project) is not None
                if is_users and name not in read:
                    value = given.get(name)
                    encoded = None if value is None else value.encode("utf-8", "surrogateescape")
                    read[name] = None if encoded is None else hashlib.sha256(encoded).hexdigest()
            return super().__getitem__(key)

        def __iter__(self) -> Any:
            if ALL_VARIABLES not in read and find_asking_frame(sys._getframe(1), project) is not None:
                read[ALL_VARIABLES] = names_digest(list(given))
            return super().__iter__()

    os.environ.__class__ = RecordingEnviron
    if os.supports_bytes_environ:
        os.environb.__class__ = RecordingEnviron
    return read
