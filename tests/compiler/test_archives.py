"""Archives in their steady form: equal members give equal bytes and one digest."""

from __future__ import annotations

import io
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.compiler.sdk_side.archives import rewrite_archive

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {
    "b.py": b"B = 1\n",
    "a/deep.py": b"A = 1\n",
    "a/__pycache__/deep.cpython-311.pyc": b"bytecode",
    "./.git/HEAD": b"what each commit changes",
}


def make_tar(
    files: dict[str, bytes], *, mtime: int = 0, uid: int = 0, mode: int = 0o644, compression: str = "gz"
) -> bytes:
    body = io.BytesIO()
    with tarfile.open(fileobj=body, mode=f"w:{compression}") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime, member.uid, member.mode = len(content), mtime, uid, mode
            archive.addfile(member, io.BytesIO(content))
    return body.getvalue()


def make_zip(files: dict[str, bytes], *, year: int = 2020, mode: int = 0o644) -> bytes:
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name, (year, 1, 1, 0, 0, 0))
            member.external_attr = mode << 16
            archive.writestr(member, content)
    return body.getvalue()


def same(content: bytes) -> bytes:
    return content


@pytest.mark.parametrize("compression", ["gz", ""], ids=["tar.gz", "tar"])
def test_times_owners_and_order_of_a_tar_do_not_count(compression: str):
    one = rewrite_archive(make_tar(FILES, mtime=1, uid=7, compression=compression), same)
    other = rewrite_archive(make_tar(dict(reversed(FILES.items())), mtime=2, compression=compression), same)
    assert one is not None
    assert one == other
    with tarfile.open(fileobj=io.BytesIO(one[0])) as archive:
        assert archive.getnames() == ["a/deep.py", "b.py"]


def test_times_and_order_of_a_zip_do_not_count():
    one = rewrite_archive(make_zip(FILES), same)
    assert one == rewrite_archive(make_zip(dict(reversed(FILES.items())), year=2021), same)
    assert one is not None
    assert zipfile.ZipFile(io.BytesIO(one[0])).namelist() == ["a/deep.py", "b.py"]


@pytest.mark.parametrize("make", [make_tar, make_zip], ids=["tar", "zip"])
def test_of_a_mode_only_that_a_file_is_executable_counts(make: Callable[..., bytes]):
    shared, private, program = (rewrite_archive(make(FILES, mode=mode), same) for mode in (0o664, 0o600, 0o700))
    assert shared is not None
    assert shared == private
    assert program is not None
    assert program[1] != shared[1]


@pytest.mark.parametrize(
    "other",
    [make_tar({**FILES, "b.py": b"B = 2\n"}), make_tar({**FILES, "c.py": b""}), make_tar(FILES, mode=0o755)],
    ids=["content", "a member more", "mode"],
)
def test_another_member_is_another_digest(other: bytes):
    one, changed = rewrite_archive(make_tar(FILES), same), rewrite_archive(other, same)
    assert one is not None
    assert changed is not None
    assert one[1] != changed[1]


def test_members_can_be_changed():
    changed = rewrite_archive(make_tar({"a.txt": b"here"}), lambda content: content.replace(b"here", b"there"))
    assert changed is not None
    assert changed == rewrite_archive(make_tar({"a.txt": b"there"}), same)


@pytest.mark.parametrize(
    "body",
    [b"", b"text", b"PK\x03\x04 and no more", b"\x1f\x8b and no more", make_tar(FILES)[:60]],
    ids=["nothing", "text", "a broken zip", "a broken gzip", "a cut archive"],
)
def test_what_is_no_archive_is_left_alone(body: bytes):
    assert rewrite_archive(body, same) is None
