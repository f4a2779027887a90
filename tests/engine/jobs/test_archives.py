"""Archives that nobody vouches for."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.jobs.archives import ArchiveError, ArchiveLimits, pack_tar_gz, unpack_tar, unpack_zip

if TYPE_CHECKING:
    from pathlib import Path


def tar_with(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            tar.addfile(member, io.BytesIO(b"\0" * member.size))
    return path


def member(
    name: str, *, kind: bytes = tarfile.REGTYPE, size: int = 0, link: str = "", mode: int = 0o644
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname, info.mode = kind, size, link, mode
    return info


def test_files_folders_and_the_executable_bit_survive(tmp_path: Path) -> None:
    archive = tar_with(tmp_path / "a.tgz", member("d", kind=tarfile.DIRTYPE), member("d/run.sh", size=3, mode=0o755))
    unpack_tar(archive, tmp_path / "out")
    assert (tmp_path / "out" / "d" / "run.sh").read_bytes() == b"\0\0\0"
    assert (tmp_path / "out" / "d" / "run.sh").stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize(
    "bad",
    [
        member("/etc/cron.d/x"),
        member("../x"),
        member("a/../../x"),
        member("link", kind=tarfile.SYMTYPE, link="/etc/passwd"),
        member("hard", kind=tarfile.LNKTYPE, link="/etc/passwd"),
        member("fifo", kind=tarfile.FIFOTYPE),
        member("device", kind=tarfile.CHRTYPE),
    ],
    ids=lambda bad: bad.name,
)
def test_a_tar_member_that_is_no_plain_file_inside_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    archive = tar_with(tmp_path / "a.tgz", bad)
    with pytest.raises(ArchiveError, match=r"It was not unpacked\."):
        unpack_tar(archive, tmp_path / "in" / "out")
    assert not list(tmp_path.rglob("x"))


def test_a_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    archive = tar_with(tmp_path / "a.tgz", member("big", size=50_000_000))
    with pytest.raises(ArchiveError, match="unpacks to more than 1000000 bytes"):
        unpack_tar(archive, tmp_path / "out", ArchiveLimits(max_bytes=1_000_000))
    assert (tmp_path / "out" / "big").stat().st_size <= 1_000_000
    with pytest.raises(ArchiveError, match="more than 1 members"):
        unpack_tar(
            tar_with(tmp_path / "b.tgz", member("a"), member("b")), tmp_path / "two", ArchiveLimits(max_members=1)
        )


def test_junk_and_cut_archives_are_named(tmp_path: Path) -> None:
    whole = tar_with(tmp_path / "a.tgz", member("big", size=5_000_000)).read_bytes()
    for name, content in (("junk.tgz", b"junk" * 500), ("cut.tgz", whole[: len(whole) // 2]), ("empty.tgz", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match=f"{name} cannot be unpacked"):
            unpack_tar(path, tmp_path / "out")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "..\\x", "C:\\x"])
def test_a_zip_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(name, "x")
    with pytest.raises(ArchiveError, match=r"It was not unpacked\."):
        unpack_zip(tmp_path / "a.zip", tmp_path / "in" / "out")


def test_a_zip_with_a_link_is_refused(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(ArchiveError, match="is a link or device"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out")


def test_a_zip_bomb_is_stopped_at_the_limit(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("big", b"\0" * 50_000_000)
    assert (tmp_path / "a.zip").stat().st_size < 100_000
    with pytest.raises(ArchiveError, match="unpacks to more than 1000000 bytes"):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out", ArchiveLimits(max_bytes=1_000_000))
    assert (tmp_path / "out" / "big").stat().st_size <= 1_000_000
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        for name in ("a", "b"):
            zipped.writestr(name, "")
    with pytest.raises(ArchiveError, match="more than 1 members"):
        unpack_zip(tmp_path / "b.zip", tmp_path / "two", ArchiveLimits(max_members=1))


def test_a_member_behind_a_link_that_an_earlier_member_made_is_never_written(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    archive = tar_with(
        tmp_path / "a.tgz", member("way", kind=tarfile.SYMTYPE, link="../outside"), member("way/x", size=3)
    )
    with pytest.raises(ArchiveError, match=r"It was not unpacked\."):
        unpack_tar(archive, tmp_path / "out")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_link_inside_is_packed_as_its_file_and_one_to_the_outside_is_not(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "blob").write_text("x")
    (tmp_path / "model" / "name").symlink_to("blob")
    (tmp_path / "secret").write_text("s")
    (tmp_path / "model" / "leak").symlink_to(tmp_path / "secret")
    pack_tar_gz(tmp_path / "model", tmp_path / "m.tar.gz")
    unpack_tar(tmp_path / "m.tar.gz", tmp_path / "out")
    assert {path.name: path.read_text() for path in (tmp_path / "out").iterdir()} == {"blob": "x", "name": "x"}


DEEP = "/".join(["d"] * 2000) + "/file"


@pytest.mark.parametrize(
    ("name", "message"), [(DEEP, "2001 directories deep"), ("a\0b", "zero byte"), ("n" * 300, "cannot be unpacked")]
)
def test_names_that_no_file_system_takes_are_refused_in_a_sentence(tmp_path: Path, name: str, message: str) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"path": name}
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info)
    with pytest.raises(ArchiveError, match=message):
        unpack_tar(tmp_path / "a.tar", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as zipped:
        zipped.writestr(name.replace("\0", "\1"), b"x")
    (tmp_path / "a.zip").write_bytes((tmp_path / "a.zip").read_bytes().replace(b"a\1b", b"a\0b"))
    with pytest.raises(ArchiveError, match=message):
        unpack_zip(tmp_path / "a.zip", tmp_path / "out")


def test_an_archive_that_the_disk_has_no_room_for_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("small"))
        large = tarfile.TarInfo("large")
        large.size = 10 << 40
        tar.fileobj.write(large.tobuf())  # type: ignore[union-attr]
    with pytest.raises(ArchiveError, match=r"a\.tar needs 10485760 MB or more .* and the disk has"):
        unpack_tar(tmp_path / "a.tar", tmp_path / "out")
    assert not (tmp_path / "out" / "large").exists()
