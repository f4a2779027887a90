"""Room on the disk: who is ended when it is full, what is given up, and what waits."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.jobs import disk_room, job_log
from airflow_sm_pipelines.engine.jobs.disk_room import DiskRoom, measure_directory
from airflow_sm_pipelines.engine.jobs.failures import JobFailure
from airflow_sm_pipelines.engine.jobs.job_log import JobLog, PatientLog
from airflow_sm_pipelines.engine.rules.errors import Interrupted

if TYPE_CHECKING:
    from pathlib import Path

MB = 1 << 20


class Disk(DiskRoom):
    """A disk with as much free as a test says."""

    free = 1 << 40

    def free_bytes(self) -> int:
        return self.free


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    monkeypatch.setattr(disk_room, "MAX_LOW_BYTES", MB)
    monkeypatch.setattr(disk_room, "RETRY_SECONDS", 0.001)
    return Disk(tmp_path)


def job(tmp_path: Path, name: str, megabytes: int) -> Path:
    (tmp_path / name / "tmp").mkdir(parents=True)
    (tmp_path / name / "tmp" / "file").write_bytes(b"x" * megabytes * MB)
    return tmp_path / name


def test_of_the_jobs_on_a_full_disk_the_largest_is_ended(disk: Disk, tmp_path: Path) -> None:
    large, small = job(tmp_path, "large", 3), job(tmp_path, "small", 2)
    assert measure_directory(large) >= 3 * MB
    with disk.used_by(large), disk.used_by(small):
        disk.check(large)
        disk.free = 1000
        disk.check(small)
        with pytest.raises(JobFailure, match=r"is full\. Of the running jobs this one held the most of it \(3 MB\)"):
            disk.check(large)


def test_a_job_is_not_ended_for_what_others_have_written(disk: Disk, tmp_path: Path) -> None:
    small = job(tmp_path, "small", 0)
    disk.free = 0
    with disk.used_by(small):
        disk.check(small)


def test_the_reserve_is_set_aside_given_up_once_and_set_aside_again(disk: Disk, tmp_path: Path) -> None:
    disk.prepare()
    assert (tmp_path / ".reserve").stat().st_blocks * 512 >= MB
    disk.free = 0
    tries = []

    def write() -> str:
        tries.append((tmp_path / ".reserve").exists())
        if tries[-1]:
            raise sqlite3.OperationalError("database or disk is full")
        return "written"

    assert disk.write_surely(write, threading.Event()) == "written"
    assert tries == [True, False]
    disk.free = 1 << 40
    disk.prepare()
    assert (tmp_path / ".reserve").exists()


def test_what_cannot_be_written_waits_until_there_is_room_or_the_engine_ends(disk: Disk) -> None:
    left = [sqlite3.OperationalError("full")] * 3

    def write() -> int:
        if left:
            raise left.pop()
        return 7

    assert disk.write_surely(write, threading.Event()) == 7
    left += [sqlite3.OperationalError("full")] * 3
    closing = threading.Event()
    closing.set()
    with pytest.raises(Interrupted):
        disk.write_surely(write, closing)


def test_nothing_starts_on_a_full_disk(disk: Disk) -> None:
    disk.free = 0
    waited = []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        disk.free = 1 << 40 if len(waited) == 3 else 0

    disk.wait(lambda: False, pause)
    assert len(waited) == 3


def test_lines_that_cannot_be_stored_wait_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "_MAX_HELD_LINES", 4)
    stored: list[tuple[str, str]] = []
    is_full = True

    def write(stream: str, lines: list[tuple[int, str]]) -> None:
        if is_full:
            raise sqlite3.OperationalError("full")
        stored.extend((stream, line) for _, line in lines)

    log = PatientLog(write)
    for number in range(3):
        log.write("a", [(number, f"a{number}")])
    log.write("b", [(3, "b3")])
    is_full = False
    log.write("b", [(4, "b4")])
    assert stored == [("a", "a0"), ("a", "a1"), ("a", "a2"), ("b", "b3"), ("b", "b4")]
    is_full = True
    log.write("c", [(number, f"c{number}") for number in range(6)])
    is_full = False
    log.flush()
    assert stored[5:] == [("c", "2 lines are missing here: the disk was full."), *(("c", f"c{n}") for n in range(2, 6))]


def test_a_log_ends_at_its_size_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_log, "MAX_LOG_CHARACTERS", 100)
    stored: list[str] = []
    heard: list[str] = []
    log = JobLog(lambda _, lines: stored.extend(line for _, line in lines), "job")
    log.listeners.append(lambda _, line: heard.append(line))
    for number in range(30):
        log.add("algo-1", f"line {number}")
    log.flush()
    assert len(stored) == 14
    assert stored[-1].startswith("The log ends here")
    assert len(heard) == 30
    assert log.tail[-1] == "line 29"
