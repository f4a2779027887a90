"""Tar and zip archives: made from the output of a job, and unpacked without trusting them."""

from __future__ import annotations

import shutil
import stat
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

from airflow_sm_pipelines.exceptions import LocalEndpointError

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20


_MAX_DEPTH = 128
"""How many directories deep a member may lie. Some file systems and programs end at a few hundred."""

_MIN_FREE_BYTES = 16 << 20
"""So much of the disk is left free."""


class ArchiveError(LocalEndpointError):
    """An archive that is broken or must not be unpacked; the message names the member and the rule."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """How large an archive may become when unpacked."""

    max_bytes: int = 20 * 1024**3
    max_members: int = 200_000


def unpack_tar(archive: Path, directory: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack the plain files and directories of a tar file (any compression) into ``directory``.

    :raises ArchiveError: it is not a tar file, a member is a link, a device or points outside, or it is too large.
    """
    budget = _Budget(archive, limits or ArchiveLimits())
    try:
        # As a stream, so that a bomb is noticed while it unpacks and not after reading all of it.
        with tarfile.open(archive, "r|*") as tar:
            for member in tar:
                target = _target(archive, directory, member.name)
                budget.count_member()
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                elif member.isreg():
                    budget.announce(member.size)
                    source = tar.extractfile(member)
                    if source is not None:
                        _write(source, target, budget, is_executable=bool(member.mode & stat.S_IXUSR))
                else:
                    raise ArchiveError(
                        f"{archive.name} holds '{member.name}', which is a link or device. It was not unpacked."
                    )
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, RecursionError) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}.") from error


def unpack_zip(archive: Path, directory: Path, limits: ArchiveLimits | None = None) -> None:
    """Unpack a zip file under the rules of :func:`unpack_tar`.

    :raises ArchiveError: it is not a zip file, a member is a link, a device or points outside, or it is too large.
    """
    budget = _Budget(archive, limits or ArchiveLimits())
    try:
        with zipfile.ZipFile(archive) as zipped:
            for member in zipped.infolist():
                # `filename` ends at a zero byte.
                target = _target(archive, directory, member.orig_filename)
                budget.count_member()
                mode = member.external_attr >> 16
                if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
                    raise ArchiveError(
                        f"{archive.name} holds '{member.filename}', which is a link or device. It was not unpacked."
                    )
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    budget.announce(member.file_size)
                    with zipped.open(member) as source:
                        _write(source, target, budget, is_executable=bool(mode & stat.S_IXUSR))
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError, zlib.error) as error:
        raise ArchiveError(f"{archive.name} cannot be unpacked: {error}.") from error


def pack_tar_gz(directory: Path, archive: Path) -> None:
    """Pack the files of a directory into a ``.tar.gz``. A link to a file inside it is packed as that file."""
    inside = directory.resolve()
    with tarfile.open(archive, "w:gz", compresslevel=3) as tar:
        for path in sorted(directory.rglob("*")):
            file = path.resolve()
            if file.is_file() and file.is_relative_to(inside):
                tar.add(file, arcname=path.relative_to(directory).as_posix(), recursive=False)


def iter_files(directory: Path) -> Iterator[Path]:
    """The regular files under a directory, in a stable order; no links, sockets or devices."""
    if not directory.is_dir() or directory.is_symlink():
        return
    for entry in sorted(directory.iterdir()):
        mode = entry.lstat().st_mode
        if stat.S_ISDIR(mode):
            yield from iter_files(entry)
        elif stat.S_ISREG(mode):
            yield entry


class _Budget:
    def __init__(self, archive: Path, limits: ArchiveLimits) -> None:
        self._archive, self._limits = archive, limits
        # Looked at once: what is unpacked here is counted.
        free = shutil.disk_usage(archive.parent).free
        self._room = free - min(_MIN_FREE_BYTES, free // 20)
        self._members = self._bytes = 0

    def count_member(self) -> None:
        self._members += 1
        if self._members > self._limits.max_members:
            raise ArchiveError(f"{self._archive.name} holds more than {self._limits.max_members} members.")

    def announce(self, count: int) -> None:
        """Refuse a member that there is no room for, before the disk is full.

        :param count: the bytes it says that it has. It may have more.
        """
        if self._bytes + count > self._room:
            raise ArchiveError(
                f"{self._archive.name} needs {(self._bytes + count) >> 20} MB or more to be unpacked, and the disk has "
                f"{max(0, self._room) >> 20} MB to give. Make room, or use a smaller archive."
            )

    def count_bytes(self, count: int) -> None:
        self._bytes += count
        self.announce(0)
        if self._bytes > self._limits.max_bytes:
            raise ArchiveError(f"{self._archive.name} unpacks to more than {self._limits.max_bytes} bytes.")


def _target(archive: Path, directory: Path, name: str) -> Path:
    path = PurePosixPath(name.replace("\\", "/"))
    if "\0" in name:
        raise ArchiveError(f"{archive.name} holds {name!r}, a name with a zero byte. It was not unpacked.")
    if len(path.parts) > _MAX_DEPTH:
        raise ArchiveError(
            f"{archive.name} holds '{name[:80]}...', which lies {len(path.parts)} directories deep; "
            f"at most {_MAX_DEPTH} are unpacked."
        )
    if path.is_absolute() or ".." in path.parts or (path.parts and path.parts[0].endswith(":")):
        raise ArchiveError(f"{archive.name} holds '{name}', which points outside the archive. It was not unpacked.")
    return directory.joinpath(*path.parts)


def _write(source: IO[bytes], target: Path, budget: _Budget, *, is_executable: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as file:
        while chunk := source.read(_CHUNK):
            budget.count_bytes(len(chunk))
            file.write(chunk)
    if is_executable:
        target.chmod(0o755)
