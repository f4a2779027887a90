"""Taking a state directory, and being refused one."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server.state_directory import (
    STATE_FORMAT,
    StateDirectory,
    current_origin,
    read_announcement,
)

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


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("99\n", "has format 99, and"),
        ('{"format": 99, "moto": "9.0", "release": "7.1"}', "has format 99, written by airflow-sm-pipelines 7.1, and"),
        ("one", r"has an unknown format \('one'\), and"),
        ("", r"has an unknown format \(''\), and"),
        ("[]", r"has an unknown format \('\[\]'\), and"),
    ],
    ids=["number", "document", "word", "empty", "list"],
)
def test_state_of_another_format_is_refused_and_left_alone(tmp_path: Path, text: str, found: str) -> None:
    (tmp_path / "VERSION").write_text(text)
    with pytest.raises(LocalEndpointError, match=f"{found} this release reads formats 1 and 2: use the release that"):
        StateDirectory(tmp_path)
    assert (tmp_path / "VERSION").read_text() == text
    # The refusal held nothing back.
    (tmp_path / "VERSION").unlink()
    StateDirectory(tmp_path).release()


def test_a_used_directory_says_what_wrote_it(tmp_path: Path) -> None:
    held = StateDirectory(tmp_path)
    assert (held.origin, held.is_of_another_moto) == (None, False)
    held.mark_used()
    held.release()
    found = json.loads((tmp_path / "VERSION").read_text())
    assert found == {
        "format": STATE_FORMAT,
        "moto": version("moto"),
        "release": version("airflow-sm-pipelines"),
    }
    held = StateDirectory(tmp_path)
    assert (held.origin, held.is_of_another_moto) == (current_origin(), False)
    held.release()


@pytest.mark.parametrize("text", [None, "1", json.dumps({"format": STATE_FORMAT, "moto": "0.1"})], ids=str)
def test_a_used_directory_is_of_another_moto_unless_it_names_the_installed_one(
    tmp_path: Path, text: str | None
) -> None:
    (tmp_path / "USED").touch()
    if text is not None:
        (tmp_path / "VERSION").write_text(text)
    held = StateDirectory(tmp_path)
    assert held.is_of_another_moto
    held.release()


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


def test_a_directory_of_ours_is_closed_to_others_and_one_of_something_else_is_left(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, files in (("state", ["lock", "USED"]), ("project", ["lock", "pipeline.py"])):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(0o775)
        for file in files:
            (tmp_path / name / file).touch()
        StateDirectory(tmp_path / name).release()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert "was open to other users (mode 775); it is 700 now" in caplog.text
    assert (tmp_path / "project").stat().st_mode & 0o777 == 0o775


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory to another user")
@pytest.mark.parametrize("name", [".", "moto.checkpoint"])
def test_a_directory_or_a_file_of_another_user_is_refused_with_the_command_that_mends_it(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "moto.checkpoint").touch()
    os.chown(tmp_path / name, 65534, -1)
    with pytest.raises(LocalEndpointError, match=rf"belongs to user 65534, .*: sudo chown -R {os.geteuid()} "):
        StateDirectory(tmp_path)
