"""The directories that jobs run in, below one root. What a job leaves there is removed without anybody waiting."""

from __future__ import annotations

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# No job is called so.
_TRASH = ".removed"


class JobDirectories:
    """Gives jobs empty directories.

    :param root: holds nothing else.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._trash = root / _TRASH
        self._numbers = itertools.count()
        # One thread: a second would only wait for the same disk.
        self._cleaner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sm-clean")

    def start(self) -> None:
        """Remove what the last engine had no time to remove."""
        self._trash.mkdir(parents=True, exist_ok=True)
        for path in self._trash.iterdir():
            self._remove(path)

    def claim(self, name: str) -> Path:
        """A place for a job where nothing is, not even what an earlier run of it left there."""
        directory = self._root / name
        if directory.exists():
            self.give_up(directory)
        return directory

    def give_up(self, directory: Path) -> None:
        """Remove a job's directory, soon; its name is free at once."""
        target = self._trash / f"{next(self._numbers)}-{directory.name}"
        try:
            directory.rename(target)
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            self._remove(target)

    def close(self) -> None:
        """Stop removing; the next start goes on with it."""
        self._cleaner.shutdown(wait=True, cancel_futures=True)

    def _remove(self, path: Path) -> None:
        self._cleaner.submit(shutil.rmtree, path, ignore_errors=True)
