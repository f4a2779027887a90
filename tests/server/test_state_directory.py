"""Taking a state directory, and being refused one."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server.state_directory import StateDirectory, read_announcement

if TYPE_CHECKING:
    from pathlib import Path


def test_a_directory_in_use_is_refused_with_the_address_of_its_server(tmp_path: Path) -> None:
    held = StateDirectory(tmp_path / "state")
    held.announce("http://127.0.0.1:4566")
    with pytest.raises(LocalEndpointError, match=rf"127\.0\.0\.1:4566 \(process {os.getpid()}\)"):
        StateDirectory(tmp_path / "state")
    held.release()
    StateDirectory(tmp_path / "state").release()


def test_the_server_is_announced_while_it_runs_and_not_after(tmp_path: Path) -> None:
    held = StateDirectory(tmp_path)
    held.announce("http://127.0.0.1:1")
    assert read_announcement(tmp_path) == {"url": "http://127.0.0.1:1", "pid": str(os.getpid())}
    held.release()
    assert read_announcement(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', json.dumps({"url": 1})], ids=repr)
def test_a_damaged_announcement_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "server.json").write_text(text)
    assert read_announcement(tmp_path) is None


def test_state_of_another_version_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "VERSION").write_text("99\n")
    with pytest.raises(LocalEndpointError, match="version '99'"):
        StateDirectory(tmp_path)
    assert (tmp_path / "VERSION").read_text() == "99\n"
    # The refusal held nothing back.
    (tmp_path / "VERSION").unlink()
    StateDirectory(tmp_path).release()


def test_a_place_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LocalEndpointError, match="cannot be written"):
        StateDirectory(tmp_path / "file" / "state")
    with pytest.raises(LocalEndpointError, match="cannot be written"):
        StateDirectory(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_not_writable_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LocalEndpointError, match="cannot be written"):
        StateDirectory(tmp_path / "state")
