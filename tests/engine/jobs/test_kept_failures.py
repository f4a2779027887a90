"""The directories of the last failed jobs stay, and no more of them than the disk can bear."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.engine.jobs.job_directories import JobDirectories
from airflow_sm_pipelines.engine.jobs.kept_failures import FailedJob, drop_failures, list_failures
from tests.engine.fake_world import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAN = {
    "argv": ["python", "run.py"],
    "cwd": "/",
    "env": {"AWS_ENDPOINT_URL": "http://127.0.0.1:1111", "OPTIONS": "-Dhttp.proxyPort=1111", "DEPTH": "1111"},
}


@pytest.fixture
def directories(tmp_path: Path) -> Iterator[JobDirectories]:
    made = JobDirectories(tmp_path / "jobs")
    made.start()
    yield made
    made.close()


def fail(directories: JobDirectories, number: int, *, started: bool = True, size: int = 0) -> Path:
    directory = directories.claim(f"job-{number}")
    (directory / "algo-1" / "layer" / "bin").mkdir(parents=True)
    (directory / "end.json").write_text("{}")
    (directory / "data").write_bytes(b"x" * size)
    if started:
        (directory / "algo-1" / "launch.json").write_text(json.dumps(PLAN))
    directories.keep(directory, FailedJob(f"arn:{number}", "broken", number))
    return directory


def kept(tmp_path: Path) -> list[str]:
    return [one.job.arn for one in list_failures(tmp_path / "jobs")]


def test_the_last_ten_stay_over_a_restart(directories: JobDirectories, tmp_path: Path) -> None:
    for number in range(12):
        fail(directories, number)
    expected = [f"arn:{number}" for number in range(11, 1, -1)]
    wait_until(lambda: kept(tmp_path) == expected)
    following = JobDirectories(tmp_path / "jobs")
    following.start()
    following.close()
    assert kept(tmp_path) == expected


def test_a_job_without_a_program_leaves_nothing(directories: JobDirectories, tmp_path: Path) -> None:
    assert not fail(directories, 1, started=False).exists()
    assert kept(tmp_path) == []


def test_a_new_job_of_the_name_finds_nothing_of_the_old_one(directories: JobDirectories) -> None:
    directory = fail(directories, 1)
    assert directory.exists()
    assert not directories.holds_end("job-1")
    assert not directories.claim("job-1").exists()


def test_the_oldest_go_first_where_they_hold_too_much(directories: JobDirectories, tmp_path: Path) -> None:
    for number in range(3):
        fail(directories, number, size=1 << 20)
    drop_failures(tmp_path / "jobs", most_bytes=5 << 19)
    assert kept(tmp_path) == ["arn:2", "arn:1"]


def test_a_full_disk_takes_all_but_the_one_that_somebody_is_in(
    directories: JobDirectories, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        fail(directories, number)
    entered = list_failures(tmp_path / "jobs")[1]
    monkeypatch.setattr(directories.room, "free_bytes", lambda: 0)
    with entered.held():
        directories.check(tmp_path / "jobs" / "another")
        assert kept(tmp_path) == ["arn:1"]
    directories.wait_for_room(lambda: True, lambda _: None)
    assert kept(tmp_path) == []


def test_another_program_gets_the_endpoint_of_now(directories: JobDirectories, tmp_path: Path) -> None:
    fail(directories, 1)
    (failure,) = list_failures(tmp_path / "jobs")
    path = failure.write_plan("algo-1", ["sh"], env={"TERM": "dumb"}, endpoint_url="http://127.0.0.1:2222")
    plan = json.loads(path.read_text())
    assert plan["argv"] == ["sh"]
    assert plan["env"] == {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:2222",
        "OPTIONS": "-Dhttp.proxyPort=2222",
        "DEPTH": "1111",
        "TERM": "dumb",
    }
    assert (path.parent / "layer" / "bin" / "rerun").read_text().endswith("exec python run.py\n")
