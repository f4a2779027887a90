"""Code is taken only from directories that nobody else can write to."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.environments import ensure_environment, keep_cache_closed
from airflow_sm_pipelines.exceptions import EnvironmentBuildError
from airflow_sm_pipelines.private_directories import find_cache_fault

if TYPE_CHECKING:
    from pathlib import Path

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
NOBODY = 65534


def test_a_new_cache_is_this_user_s_alone(tmp_path: Path) -> None:
    assert find_cache_fault(tmp_path / "a" / "b") == (None, None)
    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


@pytest.mark.parametrize(("mode", "narrowed"), [(0o775, 0o755), (0o777, 0o755), (0o755, 0o755), (0o700, 0o700)])
def test_what_others_can_write_is_closed_in_one_line(tmp_path: Path, mode: int, narrowed: int) -> None:
    tmp_path.chmod(mode)
    lines: list[str] = []
    for _ in range(2):
        keep_cache_closed(tmp_path, lines.append)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == narrowed
    assert len(lines) == (mode != narrowed)


@only_root
@pytest.mark.parametrize("foreign", ["", "environments"])
def test_another_user_s_is_refused_with_the_command_that_mends_it(tmp_path: Path, foreign: str) -> None:
    (tmp_path / "environments").mkdir()
    os.chown(tmp_path / foreign, NOBODY, NOBODY)
    with pytest.raises(EnvironmentBuildError, match=f"sudo chown -R {os.geteuid()} {tmp_path}"):
        ensure_environment(["pip"], cache_dir=tmp_path)
