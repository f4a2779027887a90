"""A write-ahead file that is gone, cut or damaged never empties the state in silence."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from airflow_sm_pipelines.engine.store import write_ahead
from airflow_sm_pipelines.engine.store.database import EngineDatabase
from airflow_sm_pipelines.exceptions import LocalEndpointError
from airflow_sm_pipelines.server.persistence import EndpointDatabase

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

Database = Any


def write(database: Database) -> None:
    with database.transaction() as connection:
        if isinstance(database, EngineDatabase):
            name = str(len(database.rows("SELECT * FROM tags")))
            database.insert("tags", {"arn": name, "key": "k", "value": "v"})
        else:
            connection.execute(
                "INSERT INTO log_streams (region, log_group, name, created) VALUES ('', '', random(), 0)"
            )


@pytest.fixture(params=[EngineDatabase, EndpointDatabase])
def killed(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Callable[[Path], Database], Path]:
    """A class of databases, and the files that a killed process with ten committed changes leaves."""
    database = request.param(tmp_path / "a.db")
    for _ in range(10):
        write(database)
    (tmp_path / "copy").mkdir()
    for file in tmp_path.glob("a.db*"):
        shutil.copy(file, tmp_path / "copy")
    database.close()
    return request.param, tmp_path / "copy" / "a.db"


def count(path: Path) -> int:
    with sqlite3.connect(path) as connection:
        return int(connection.execute("SELECT number FROM commits").fetchone()[0])


def test_a_killed_process_s_changes_are_all_there(killed: tuple[Callable[[Path], Database], Path]) -> None:
    open_database, path = killed
    open_database(path).close()
    assert count(path) == 10


@pytest.mark.parametrize("damage", ["gone", "cut", "emptied", "flipped"])
def test_lost_changes_are_refused_and_what_is_left_is_kept(
    killed: tuple[Callable[[Path], Database], Path], damage: str
) -> None:
    open_database, path = killed
    wal = path.with_name("a.db-wal")
    content = bytearray(wal.read_bytes())
    if damage == "gone":
        wal.unlink()
    else:
        kept = {"cut": len(content) - 5000, "emptied": 0, "flipped": len(content)}[damage]
        del content[kept:]
        if damage == "flipped":
            content[len(content) * 2 // 3] ^= 0xFF
        wal.write_bytes(content)
    for _ in range(2):
        with pytest.raises(LocalEndpointError, match=r"of 10 changes: its write-ahead file a\.db-wal is missing or"):
            open_database(path)
    path.with_name("a.db.commits").unlink()
    open_database(path).close()


def test_after_the_machine_went_down_the_last_changes_may_be_missing_but_not_all(
    killed: tuple[Callable[[Path], Database], Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    open_database, path = killed
    monkeypatch.setattr(write_ahead, "_read_boot_id", lambda: "another")
    wal = path.with_name("a.db-wal")
    wal.write_bytes(wal.read_bytes()[:-5000])
    open_database(path).close()
    assert "lacks the newest" in caplog.text


def test_a_change_that_is_taken_back_is_not_counted(tmp_path: Path) -> None:
    database = EngineDatabase(tmp_path / "a.db")
    write(database)
    with contextlib.suppress(KeyError), database.transaction():
        database.insert("tags", {"arn": "x", "key": "k", "value": "v"})
        raise KeyError
    with database.transaction():
        assert len(database.rows("SELECT * FROM tags")) == 1
    write(database)
    database.close()
    assert count(tmp_path / "a.db") == 2
