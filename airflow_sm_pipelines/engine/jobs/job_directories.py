"""The directories that jobs run in, below one root.

What a job leaves there is removed in the background; of the last failed jobs it stays (``kept_failures``).
"""

from __future__ import annotations

import itertools
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.disk_room import DiskRoom
from airflow_sm_pipelines.engine.jobs.kept_end import read_kept_end
from airflow_sm_pipelines.engine.jobs.kept_failures import can_be_kept, drop_failures, is_kept, mark_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from airflow_sm_pipelines.engine.jobs.kept_failures import FailedJob

_TRASH = ".removed"
"""No job has this name."""


class JobDirectories:
    """Gives jobs empty directories.

    :param root: a directory for nothing else, in the engine's own; made if it does not exist.
    :ivar room: watches the disk they are on.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.room = DiskRoom(root.parent)
        self._root = root
        self._trash = root / _TRASH
        self._numbers = itertools.count()
        # One thread, since a second would only wait for the same disk.
        self._cleaner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sm-clean")

    def start(self, active: Collection[str] = ()) -> None:
        """Remove what the last engine had no time to remove.

        :param active: the names of the jobs that go on; what they left stays until they claim it.
        """
        self._trash.mkdir(parents=True, exist_ok=True)
        self.room.prepare()
        left = [path for path in self._root.iterdir() if path.name not in {_TRASH, *active} and not is_kept(path)]
        for path in (*left, *self._trash.iterdir()):
            self._remove(path)
        self._cleaner.submit(drop_failures, self._root)

    def claim(self, name: str) -> Path:
        """The path of a directory for a job.

        Nothing is there, not even what an earlier run of the job left, unless its programs had ended when the engine
        died (:func:`read_kept_end`).
        """
        directory = self._root / name
        if directory.exists() and not self.holds_end(name):
            self.discard(directory)
        return directory

    def holds_end(self, name: str) -> bool:
        """Whether the programs of a job had ended when the engine died."""
        return read_kept_end(self._root / name) is not None

    def keep(self, directory: Path, job: FailedJob) -> None:
        """Keep the directory of a failed job, and remove older ones; remove it where there is nothing to enter."""
        if self.room.is_full() or not can_be_kept(directory):
            self.discard(directory)
            return
        try:
            mark_failure(directory, job)
        except OSError:
            self.discard(directory)
        else:
            # A name that is free again at an engine's end waits for the next start.
            with suppress(RuntimeError):
                self._cleaner.submit(drop_failures, self._root)

    def check(self, directory: Path) -> None:
        """End the job of a directory where it fills the disk (:meth:`DiskRoom.check`); failed jobs' files go first."""
        self._make_room()
        self.room.check(directory)

    def wait_for_room(self, is_over: Callable[[], bool], pause: Callable[[float], object]) -> None:
        """Wait until there is room to start something (:meth:`DiskRoom.wait`); failed jobs' files go first."""
        self._make_room()
        self.room.wait(is_over, pause)

    def discard(self, directory: Path) -> None:
        """Remove the directory of a job soon, or now where the disk is full; its name is free at once."""
        if self.room.is_full():
            shutil.rmtree(directory, ignore_errors=True)
            return
        target = self._trash / f"{next(self._numbers)}-{directory.name}"
        try:
            directory.rename(target)
        except OSError:
            shutil.rmtree(directory, ignore_errors=True)
        else:
            self._remove(target)

    def close(self) -> None:
        """Stop removing. The next start continues."""
        self._cleaner.shutdown(wait=True, cancel_futures=True)

    def _make_room(self) -> None:
        if self.room.is_full():
            drop_failures(self._root, most=0)

    def _remove(self, path: Path) -> None:
        self._cleaner.submit(shutil.rmtree, path, ignore_errors=True)
