"""The project's root: which folders it may be, and what a script expects there: modules and files.

A script runs in its own folder. Many are written to be run from their repository's root instead.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .project import Project

_MARKS = (".git", "pyproject.toml", "setup.py", "setup.cfg")
_QUOTED = re.compile(r"""["'`]([^"'`\n]{1,300})["'`]""")
_PATH = re.compile(r"[\w.~-]*[/.][\w./~-]*\w")
_AFTER_ITS_KIND = re.compile(r"(?i)(?:path|file|folder|directory|source|found):? +([\w.~/-]*\w)")
"""``src`` in "Invalid 'source_dir' path: src. Must be ..." of SDK v3."""


def find_project(folder: Path) -> Path:
    """Give the nearest folder above that is a repository or a Python project; the folder itself where there is none."""
    return next(iter_projects(folder), folder)


def iter_projects(folder: Path) -> Iterator[Path]:
    """Give the folders above, and the folder itself, that are a repository or a Python project; the nearest first."""
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in _MARKS):
            yield candidate


class RootFinder:
    """Finds modules that the user's code imports and that are only at a root.

    :param roots: folders above the script's, the nearest first.
    :ivar used: the root from which each such module came, by its name.
    """

    def __init__(self, roots: Sequence[Path], project: Project) -> None:
        self._roots = roots
        self._project = project
        self.used: dict[str, str] = {}

    def install(self) -> None:
        """Look at the roots for what no other finder has found."""
        sys.meta_path.append(self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Find a module, as `importlib.abc.MetaPathFinder` says."""
        if path is not None or "." in name or not self._is_users_import():
            return None
        for root in self._roots:
            if _has_module(root, name) and str(root) not in sys.path:
                self.used[name] = str(root)
                sys.path.append(str(root))
                importlib.invalidate_caches()
                return importlib.machinery.PathFinder.find_spec(name, [str(root)])
        return None

    def _is_users_import(self) -> bool:
        frame: Any = sys._getframe(2)
        while frame is not None:
            file = frame.f_code.co_filename
            if not file.startswith("<frozen importlib") and "importlib" not in str(frame.f_globals.get("__name__")):
                return self._project.holds(file)
            frame = frame.f_back
        return False


def find_at_root(errors: Sequence[BaseException], roots: Sequence[Path]) -> dict[str, str] | None:
    """Find a file that an error is about, that is not in the working folder, and that is at a root.

    Only the SDK's texts name the files that it misses, so they are searched for paths.

    :return: its path seen from the root, and the root.
    """
    here = Path.cwd()
    for error in errors:
        if isinstance(error, ModuleNotFoundError):
            continue  # RootFinder has looked for it
        for text in _iter_paths(error):
            name = os.path.relpath(text, here) if os.path.isabs(text) else text  # noqa: PTH117 - as text
            if name.startswith("..") or (here / name).exists():
                continue
            for root in roots:
                if root != here and (root / name).exists():
                    return {"name": name, "root": str(root)}
    return None


def folder_of_project(name: str, roots: Sequence[Path]) -> str | None:
    """Give the folder of the project that has the name of a module that cannot be imported."""
    return next((str(root / name) for root in roots if (root / name).is_dir()), None)


def _iter_paths(error: BaseException) -> Iterator[str]:
    file = getattr(error, "filename", None)
    if isinstance(file, str):
        yield file
    message = str(error)[:4000]
    yield from _QUOTED.findall(message)
    yield from (found for found in _PATH.findall(message) if not found.startswith("//"))
    yield from _AFTER_ITS_KIND.findall(message)


def _has_module(root: Path, name: str) -> bool:
    folder = root / name
    return (root / f"{name}.py").is_file() or (folder.is_dir() and next(folder.rglob("*.py"), None) is not None)
