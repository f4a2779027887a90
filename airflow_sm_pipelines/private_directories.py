"""Directories from which code is taken: they are this user's, and nobody else may write there."""

from __future__ import annotations

import contextlib
import os
import shlex
import stat
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

_WRITABLE = 0o022
"""The bits by which others may write."""


def find_foreign(path: Path, owners: Collection[int]) -> str | None:
    """Who else could have put something into a directory, in a sentence with the command that mends it; None if nobody.

    :param path: a directory; it and the directories in it are looked at.
    :param owners: the numbers of the users who may own it and what stands in it.
    """
    user = os.geteuid()
    children = [*path.iterdir()]
    # Deeper down lie bodies of objects and files of environments, in folders that were looked at here.
    below = (file for child in children if child.is_dir() and not child.is_symlink() for file in child.iterdir())
    for file in (path, *children, *below):
        owner = file.lstat().st_uid
        if owner not in owners:
            return (
                f"{file} belongs to user {owner}, who could make this program run code; this is user {user}. Choose "
                f"another directory, or make it yours: sudo chown -R {user} {shlex.quote(str(path))}"
            )
    return None


def narrow(path: Path, forbidden: int) -> int | None:
    """Take bits from the mode of a directory of this user's.

    :param path: the directory.
    :param forbidden: the bits, such as 0o077.
    :return: the mode that it had; None where nothing had to be changed, or it is another user's.
    """
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    if not mode & forbidden or found.st_uid != os.geteuid():
        return None
    with contextlib.suppress(OSError):  # on a file system that is read only
        path.chmod(mode & ~forbidden)
        return mode
    return None


def find_cache_fault(path: Path) -> tuple[str | None, str | None]:
    """Whether interpreters and definitions may be taken from a directory, which is made where it is missing.

    root's directories may be read too: an image of a container is built by root and used by another user.

    :param path: the directory.
    :return: why not, and a line on what was changed; None for each that is not the case.
    :raises OSError: if it cannot be made or read.
    """
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = _judge_cache(path, os.geteuid(), _change_times(path))
    if found[0] is not None:
        # Whoever mends it by chown changes no directory.
        _judge_cache.cache_clear()
    return found


def _change_times(path: Path) -> tuple[tuple[int, int], ...]:
    """What changes when somebody puts something into a directory or the directories in it, or changes their modes."""
    with os.scandir(path) as entries:
        directories = [path.stat(), *(entry.stat() for entry in entries if entry.is_dir(follow_symlinks=False))]
    return tuple((found.st_ino, found.st_ctime_ns) for found in directories)


@lru_cache(maxsize=64)
def _judge_cache(path: Path, user: int, times: object) -> tuple[str | None, str | None]:
    """As :func:`find_cache_fault`, which every job asks: what has not changed is not looked through again.

    :param times: when it changed.
    """
    fault = find_foreign(path, {user, 0})
    if fault is not None:
        return fault, None
    if (mode := narrow(path, _WRITABLE)) is not None:
        return None, f"Others could write to {path} (mode {mode:o}); now only you can."
    if stat.S_IMODE(path.stat().st_mode) & _WRITABLE:
        return f"Others may write to {path}. Close it: sudo chmod go-w {shlex.quote(str(path))}", None
    return None, None
