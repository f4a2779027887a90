"""Copies of a state directory: one file that holds everything that has to be kept, and a directory made from it.

Left out are what belongs to a running server, the directory's secret, the directories of jobs, which start over, and
what is made again from the rest.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import tarfile
import tempfile
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_sm_pipelines.engine.jobs.archives import ArchiveError, ArchiveLimits, iter_files, unpack_tar
from airflow_sm_pipelines.engine.store.write_ahead import WriteAheadGuard
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server.state_directory import StateDirectory

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATABASES = ("engine/engine.db", "endpoint.sqlite3")
_FILES = ("VERSION", "faults.toml", *(f"{name}{end}" for name in _DATABASES for end in ("", ".commits")))
_OBJECTS = "objects"
_MARK = "USED"
_LIMITS = ArchiveLimits(max_bytes=1 << 50, max_members=1 << 40)
"""A copy is the user's own; the room on the disk is looked at all the same."""


def write_copy(state_dir: Path, archive: Path) -> int:
    """Write a state directory that no server runs on into a ``.tar.gz`` file that only its owner can read.

    :param state_dir: the state directory.
    :param archive: the file; it must not exist.
    :return: how many files it holds.
    :raises LocalEndpointError: when a server runs, there is no state, it is damaged, or the file cannot be written.
    """
    if not (state_dir / _MARK).exists():
        raise LocalEndpointError(f"{state_dir} holds no state of a local endpoint.")
    if archive.exists():
        raise LocalEndpointError(f"{archive} is there already. Name another file.")
    with _held(state_dir):
        for name in _DATABASES:
            _gather(state_dir / name)
        found = [state_dir / name for name in _FILES if (state_dir / name).exists()]
        found += iter_files(state_dir / _OBJECTS)
        temporary = archive.with_name(f"{archive.name}.part")
        try:
            # "x": a link that somebody has put there is not followed.
            with open(temporary, "xb", opener=partial(os.open, mode=0o600)) as file:
                with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
                    for one in found:
                        tar.add(one, arcname=one.relative_to(state_dir).as_posix(), recursive=False)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(archive)
        except OSError as error:
            raise LocalEndpointError(f"{archive} cannot be written: {error.strerror}.") from error
        finally:
            temporary.unlink(missing_ok=True)
    return len(found)


def restore_copy(archive: Path, state_dir: Path) -> int:
    """Make a state directory from a file of :func:`write_copy`. Its endpoint runs the code that it holds.

    :param archive: the file.
    :param state_dir: a directory that is new, or that no endpoint has used.
    :return: how many files it holds.
    :raises LocalEndpointError: when the directory has been used, or the file is no whole copy; nothing is changed then.
    """
    if not archive.is_file():
        raise LocalEndpointError(f"There is no file {archive}.")
    with _held(state_dir):
        taken = [name for name in (_MARK, _OBJECTS, *_DATABASES) if (state_dir / name).exists()]
        if taken:
            raise LocalEndpointError(
                f"The state directory {state_dir} has been used: it holds {taken[0]}. Choose a new --state-dir, "
                "or move this one away first."
            )
        with tempfile.TemporaryDirectory(dir=state_dir, prefix="restoring-") as name:
            folder = Path(name)
            unpack_tar(archive, folder, _LIMITS)
            _check(archive, folder)
            found = list(iter_files(folder))
            for entry in sorted(folder.iterdir()):
                target = state_dir / entry.name
                shutil.rmtree(target, ignore_errors=True)  # an empty folder of a start that was refused
                entry.replace(target)
        (state_dir / _MARK).touch(mode=0o600)
    return len(found)


@contextmanager
def _held(state_dir: Path) -> Iterator[None]:
    """Keep servers away from a state directory, and refuse one of another user, or of a format that is not known."""
    directory = StateDirectory(state_dir)
    try:
        yield
    finally:
        directory.release()


def _gather(database: Path) -> None:
    """Bring everything of a database into its one file, and look whether it is whole."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, isolation_level=None)) as connection:
            # Tells a write-ahead file that is gone.
            WriteAheadGuard(connection, database).close()
            fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
    except sqlite3.Error as error:
        raise LocalEndpointError(f"The state file {database} cannot be read: {error}.") from error
    if fault != "ok" or busy:
        raise LocalEndpointError(f"The state file {database} cannot be copied: {'it is in use' if busy else fault}.")


def _check(archive: Path, folder: Path) -> None:
    """Refuse what is no whole copy: other files could be pickles that a server loads."""
    names = {file.relative_to(folder).as_posix() for file in iter_files(folder)}
    foreign = sorted(name for name in names if name not in _FILES and not name.startswith(f"{_OBJECTS}/"))
    lacking = [name for name in _DATABASES if name not in names]
    if foreign or lacking:
        what = f"it holds {foreign[0]}" if foreign else f"it lacks {lacking[0]}"
        raise ArchiveError(f"{archive} is no copy of a state directory: {what}.")
    for name in _DATABASES:
        _gather(folder / name)
