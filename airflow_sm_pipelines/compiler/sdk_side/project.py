"""Names paths by the project instead of the disk, so that what a build makes holds no folder of this machine."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
_PACKAGES = ("site-packages", "dist-packages")


class Project:
    """The script's folder and what it belongs to.

    :param script: the pipeline script.
    :param root: the project's root, where the script names it.
    :param scratch: the folder of the build's temporary files.
    :param roots: folders above the script that may be its project's root.
    """

    def __init__(self, script: Path, *, root: Path | None, scratch: Path, roots: tuple[Path, ...] = ()) -> None:
        self.folder = script.parent
        self.root = root or self.folder
        self.scratch = scratch
        whole = find_project(self.folder)
        folders = {self.folder, self.root, whole, *roots}
        self._inside = tuple(
            sorted({f"{os.path.realpath(path)}{os.sep}" for path in folders} | {f"{path}{os.sep}" for path in folders})
        )
        standard = sysconfig.get_paths()
        libraries = {standard[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        # An environment may lie in the project, and so does this package in its own repository.
        libraries.add(str(Path(__file__).parent.parent))
        self._libraries = tuple({f"{os.path.realpath(path)}{os.sep}" for path in libraries})

    def holds(self, path: str) -> bool:
        """Say whether a file is the user's: in the project, and no installed package."""
        if not self._is_inside(path) or path.startswith(self._libraries):
            return False
        return not any(f"{os.sep}{name}{os.sep}" in path for name in _PACKAGES)

    def name_of(self, path: str) -> str:
        """Give what a path is called: seen from the script's folder where it is in the project, else its last part."""
        path = os.fspath(path)
        if not os.path.isabs(path) or path.startswith("<"):  # noqa: PTH117 - as text
            return path
        real = os.path.realpath(path)
        if self._is_inside(real):
            return Path(os.path.relpath(real, os.path.realpath(self.folder))).as_posix()
        if self._is_inside(path):  # through a link
            return Path(os.path.relpath(path, self.folder)).as_posix()
        if real.startswith(f"{os.path.realpath(self.scratch)}{os.sep}"):
            return "tmp"
        return Path(real).name

    def without_places(self, text: str) -> str:
        """Give a text that the build made without the folders of this machine."""
        scratch = {str(self.scratch), os.path.realpath(self.scratch)}
        for folder in sorted(scratch, key=len, reverse=True):
            text = text.replace(folder, "/tmp")  # noqa: S108 - where it would lie anywhere
        for folder in sorted({str(self.folder), os.path.realpath(self.folder)}, key=len, reverse=True):
            text = text.replace(f"{folder}{os.sep}", "").replace(folder, ".")
        outer = os.path.realpath(self.root)
        return (
            text.replace(f"{outer}{os.sep}", "").replace(outer, ".") if outer != os.path.realpath(self.folder) else text
        )

    def _is_inside(self, path: str) -> bool:
        return path.startswith(self._inside)


def find_project(folder: Path) -> Path:
    """Give the nearest folder above that is a repository or a Python project; the folder itself where there is none."""
    return next(iter_projects(folder), folder)


def iter_projects(folder: Path) -> Iterator[Path]:
    """Give the folders above, and the folder itself, that are a repository or a Python project; the nearest first."""
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in _MARKS):
            yield candidate
