"""Jobs get empty directories, and what they leave is removed without anybody waiting."""

from __future__ import annotations

import os
from pathlib import Path

from airflow_sm_pipelines.engine.jobs.job_directories import JobDirectories
from tests.engine.fake_world import wait_until


def used(directories: JobDirectories) -> Path:
    """A job's directory with something in it."""
    directory = directories.claim("job")
    directory.mkdir(parents=True)
    (directory / "file").write_text("left")
    return directory


def files_below(root: Path) -> list[Path]:
    # os.walk passes over what is removed meanwhile; rglob would raise.
    return [Path(folder) / name for folder, _, names in os.walk(root) for name in names]


def test_a_name_is_free_at_once_and_its_files_go_soon(tmp_path: Path) -> None:
    directories = JobDirectories(tmp_path)
    directories.start()
    for _ in range(3):
        assert not used(directories).with_name("other").exists()
    directories.discard(directories.claim("job"))
    assert not (tmp_path / "job").exists()
    wait_until(lambda: files_below(tmp_path) == [])
    directories.close()


def test_what_a_job_left_that_no_longer_runs_is_removed_at_a_start(tmp_path: Path) -> None:
    killed = JobDirectories(tmp_path)
    used(killed)
    (tmp_path / "active").mkdir()
    following = JobDirectories(tmp_path)
    following.start(["active"])
    wait_until(lambda: not (tmp_path / "job").exists())
    assert (tmp_path / "active").exists()
    following.close()
    killed.close()


def test_what_one_engine_had_no_time_to_remove_the_next_removes(tmp_path: Path) -> None:
    killed = JobDirectories(tmp_path)
    killed.start()
    killed.close()
    (tmp_path / ".removed" / "0-job").mkdir()
    (tmp_path / ".removed" / "0-job" / "file").write_text("left")
    following = JobDirectories(tmp_path)
    following.start()
    wait_until(lambda: files_below(tmp_path) == [])
    following.close()
