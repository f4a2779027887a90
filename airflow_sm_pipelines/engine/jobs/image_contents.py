"""What an image holds beside Python packages: files, working directory, variables, and the program that it starts.

What belongs here: the values, the commands that Docker would make of them, and the files of one instance. What does
not: reading them off a Dockerfile, and mounting.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pathspec import PathSpec

PATH_REFERENCE = "${PATH}"
"""Stands in an image's ``PATH`` for the one that jobs have anyway."""
LEFT_OUT = frozenset({".git", ".venv", "__pycache__", "node_modules"})
"""Never copied from a folder. Docker would copy them; no program of an image needs them, and they are large."""

_PYTHON_LINE = re.compile(rb"#!\s*/(?!usr/bin/env)\S*/python[\d.]*")
_MAX_SCRIPT_BYTES = 1 << 20
_SYSTEM_DIRECTORIES = frozenset(
    {
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root"),
        *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/usr/local/bin"),  # noqa: S108
        *(
            "/usr/local/lib",
            "/usr/local/share",
            "/usr/sbin",
            "/usr/share",
            "/usr/src",
            "/var",
            "/var/lib",
            "/var/log",
            "/var/www",
        ),
        *("/etc/nginx", "/var/opt", "/opt/ml"),
    }
)
"""Directories that every Linux has. What an image puts into one of them is mounted by itself."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """A file or folder of this machine at a path in the container.

    :param source: the file, or the folder whose content is at ``target``; None for an empty directory.
    :param target: an absolute path in the container.
    :param ignored: what is left out, by paths from ``root``.
    """

    source: Path | None
    target: str
    ignored: PathSpec[Any] | None = None
    root: Path | None = None

    def find(self, path: PurePosixPath) -> Path | None:
        """The file of this machine that is at a path in the container; None if this is not where it comes from."""
        if self.source is None or not path.is_relative_to(self.target):
            return None
        found = self.source / path.relative_to(self.target)
        return found if found.exists() else None

    def copy(self, target: Path) -> None:
        """Copy it to a path of this machine."""
        if self.source is None:
            target.mkdir(parents=True, exist_ok=True)
        elif self.source.is_dir():
            shutil.copytree(self.source, target, symlinks=True, dirs_exist_ok=True, ignore=self._ignore)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.source, target)

    def _ignore(self, directory: str, names: list[str]) -> set[str]:
        left_out = set(names) & LEFT_OUT
        if self.ignored is None or self.root is None:
            return left_out
        inside = os.path.relpath(directory, self.root)
        return left_out | {name for name in names if self.ignored.match_file(os.path.join(inside, name))}  # noqa: PTH118


@dataclass(frozen=True, slots=True)
class ImageContents:
    """What an image holds, as far as it can be had here.

    :param workdir: the working directory; None if the image does not say.
    :param env: its variables. ``PATH`` may refer to ``${PATH}``.
    :param entrypoint: the program that the container starts; None if the image has none of its own.
    :param command: the arguments of that program where a job gives none; or the program itself.
    :param files: later ones come over earlier ones.
    :param executables: paths that are made executable.
    :param links: pairs of a link's path and what it leads to.
    :param installs: pairs of a working directory and what follows ``pip`` there: packages out of the image's own files,
        installed when a job starts.
    """

    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] | None = None
    command: tuple[str, ...] | None = None
    files: tuple[ImageFile, ...] = ()
    executables: tuple[str, ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    installs: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def plan_command(
        self, entrypoint: Sequence[str], arguments: Sequence[str], *, default: Sequence[str] = ()
    ) -> list[str]:
        """The command that Docker starts; empty if neither the job nor the image names one.

        :param entrypoint: of the job's request: it takes the place of the image's, and of the image's arguments.
        :param arguments: of the job's request: they take the place of the image's.
        :param default: the arguments that SageMaker gives where the request has none: ``train`` or ``serve``.
        """
        if entrypoint:
            return [*entrypoint, *arguments]
        given = list(arguments or default or self.command or ())
        if self.entrypoint:
            return [*self.entrypoint, *given]
        program = given[0] if given else ""
        return given if arguments or not default or self.find_program(program) else []

    def find_program(self, name: str) -> str | None:
        """The path in the container of one of its own files that is found on its ``PATH``."""
        targets = [file.target for file in self.files]
        for directory in self.own_path:
            path = PurePosixPath(directory) / name
            if str(path) in targets or any(file.find(path) for file in self.files):
                return str(path)
        return next((link for link, _ in self.links if PurePosixPath(link).name == name), None)

    @property
    def own_path(self) -> list[str]:
        """The directories of its ``PATH`` that may hold its own programs."""
        own = [part for part in self.env.get("PATH", "").split(":") if part and part != PATH_REFERENCE]
        return [*own, "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    def stage(self, place: Callable[[PurePosixPath], Path]) -> None:
        """Copy all files to where an instance has them.

        :param place: gives the path of this machine for one in the container.
        """
        for file in self.files:
            file.copy(place(PurePosixPath(file.target)))
        for link, target in self.links:
            path = place(PurePosixPath(link))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        for name in self.executables:
            for path in _iter_files(place(PurePosixPath(name))):
                path.chmod(path.stat().st_mode | 0o111)
        for file in self.files:
            for path in _iter_files(place(PurePosixPath(file.target))):
                _use_own_python(path)


def _iter_files(path: Path) -> Iterator[Path]:
    for one in [path, *(path.rglob("*") if path.is_dir() else ())]:
        if one.is_file() and not one.is_symlink():
            yield one


def _use_own_python(path: Path) -> None:
    """Let a program that names a Python of its image run on the Python of the job."""
    status = path.stat()
    if not status.st_mode & 0o100 or status.st_size > _MAX_SCRIPT_BYTES:
        return
    content = path.read_bytes()
    if match := _PYTHON_LINE.match(content):
        path.write_bytes(b"#!/usr/bin/env python" + content[match.end() :])


def iter_mounts(staged: Path, target: str = "/") -> Iterator[tuple[str, str]]:
    """Pairs of a path below a staged tree and the path in the container where it is to appear.

    A directory of the image's own appears whole, in place of what this machine has there. What it puts into a directory
    that every Linux has appears beside what is there.
    """
    for entry in sorted(staged.iterdir()):
        path = str(PurePosixPath(target) / entry.name)
        if path in _SYSTEM_DIRECTORIES and entry.is_dir():
            yield from iter_mounts(entry, path)
        else:
            yield str(entry), path
