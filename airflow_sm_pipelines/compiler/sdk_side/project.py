"""Names paths by the project instead of the disk, so that what a build makes holds no folder of this machine."""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

from .project_roots import find_project

_PACKAGES = ("site-packages", "dist-packages")


class Project:
    """The script's folder and what it belongs to.

    :param script: the pipeline script.
    :param root: the project's root, where the script names it.
    :param scratch: the folder of the build's temporary files.
    :param roots: folders above the script that may be its project's root. Code in them is the user's; what paths are
        called does not depend on them, since they are others for another caller.
    """

    def __init__(self, script: Path, *, root: Path | None, scratch: Path, roots: tuple[Path, ...] = ()) -> None:
        self.folder = script.parent
        self.root = root or self.folder
        self.scratch = scratch
        whole = find_project(self.folder)
        self._inside = _prefixes(self.folder, self.root, whole)
        self._held = self._inside + _prefixes(*roots)
        standard = sysconfig.get_paths()
        libraries = {standard[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
        # An environment may lie in the project, and so does this package in its own repository.
        libraries.add(str(Path(__file__).parent.parent))
        self._libraries = tuple({f"{os.path.realpath(path)}{os.sep}" for path in libraries})

    def holds(self, path: str) -> bool:
        """Say whether a file is the user's: in the project, and no installed package."""
        if not path.startswith(self._held) or path.startswith(self._libraries):
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


def _prefixes(*folders: Path) -> tuple[str, ...]:
    found = {os.path.realpath(path) for path in folders} | {str(path) for path in folders}
    return tuple(f"{path}{os.sep}" for path in sorted(found))
