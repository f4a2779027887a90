"""Writes archives so that equal members give equal bytes, and digests them by their members.

The SDK packs code with the times, owners, modes and order that the files have on this machine. Members are told apart
here by name, bytes and whether they are executable, which is what Git keeps of a mode: the rest follows from the umask
of whoever cloned. Compiled Python, which comes and goes, and Git's own folder, which each commit changes, are left out.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LEFT_OUT = frozenset({"__pycache__", ".git"})
_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def rewrite_archive(body: bytes, change: Callable[[bytes], bytes]) -> tuple[bytes, str] | None:
    """Give a tar, tar.gz or zip archive in its steady form, and its digest; None for what is no archive.

    :param change: gives what a member's bytes become.
    """
    if body[:4] == b"PK\x03\x04":
        return _rewrite_zip(body, change)
    is_compressed = body[:2] == b"\x1f\x8b"
    if not is_compressed and body[257:262] != b"ustar":
        return None
    return _rewrite_tar(body, change, is_compressed=is_compressed)


def _rewrite_tar(body: bytes, change: Callable[[bytes], bytes], *, is_compressed: bool) -> tuple[bytes, str] | None:
    digest = hashlib.sha256()
    plain = io.BytesIO()
    try:
        with tarfile.open(fileobj=io.BytesIO(body)) as given:
            members = [member for member in given.getmembers() if not is_left_out(member.name)]
            if not any(member.islnk() for member in members):  # a hard link follows what it points to
                members.sort(key=lambda member: member.name)
            with tarfile.open(fileobj=plain, mode="w", format=tarfile.GNU_FORMAT) as made:
                for member in members:
                    file = given.extractfile(member) if member.isfile() else None
                    content = change(file.read()) if file is not None else b""
                    steady = tarfile.TarInfo(member.name)
                    steady.type, steady.linkname = member.type, member.linkname
                    steady.mode = _steady_mode(member.mode, is_folder=member.isdir())
                    steady.size = len(content)
                    made.addfile(steady, io.BytesIO(content))
                    _add(digest, member.name, steady.mode, member.linkname.encode() + content)
    except (tarfile.TarError, OSError, EOFError):
        return None
    return gzip.compress(plain.getvalue(), mtime=0) if is_compressed else plain.getvalue(), digest.hexdigest()


def _rewrite_zip(body: bytes, change: Callable[[bytes], bytes]) -> tuple[bytes, str] | None:
    digest = hashlib.sha256()
    written = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as given, zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as made:
            for member in sorted(given.infolist(), key=lambda member: member.filename):
                if is_left_out(member.filename):
                    continue
                content = change(given.read(member))
                steady = zipfile.ZipInfo(member.filename, _ZIP_TIME)
                mode = _steady_mode(member.external_attr >> 16, is_folder=member.is_dir())
                kind = stat.S_IFMT(member.external_attr >> 16)
                steady.external_attr, steady.create_system = (kind | mode) << 16 | member.external_attr & 0xFFFF, 3
                steady.compress_type = zipfile.ZIP_DEFLATED
                made.writestr(steady, content)
                _add(digest, member.filename, mode, content)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError):
        return None
    return written.getvalue(), digest.hexdigest()


def is_left_out(name: str) -> bool:
    """Say whether a member is what Python writes when it imports a module, or Git's own."""
    return not _LEFT_OUT.isdisjoint(name.split("/")) or name.endswith((".pyc", ".pyo"))


def _steady_mode(mode: int, *, is_folder: bool) -> int:
    return 0o755 if is_folder or mode & stat.S_IXUSR else 0o644


def _add(digest: hashlib._Hash, name: str, mode: int, content: bytes) -> None:
    digest.update(f"{name}\0{mode:o}\0{hashlib.sha256(content).hexdigest()}\n".encode())
