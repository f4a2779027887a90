"""What counts as a change of a script's folder, and what does not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from airflow_sm_pipelines.compiler.build_cache import folder_digest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "steps").mkdir()
    (tmp_path / "train.py").write_text("a")
    (tmp_path / "steps" / "evaluate.py").write_text("b")
    return tmp_path


def write_bytecode(folder: Path) -> None:
    (folder / "steps" / "__pycache__").mkdir()
    (folder / "steps" / "__pycache__" / "evaluate.cpython-311.pyc").write_bytes(b"x")


def write_hidden(folder: Path) -> None:
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("x")
    (folder / ".env").write_text("x")


@pytest.mark.parametrize(
    "change",
    [write_bytecode, write_hidden, lambda folder: os.utime(folder / "train.py", (1, 1))],
    ids=["bytecode", "hidden entries", "times"],
)
def test_what_does_not_reach_the_pipeline_is_no_change(folder: Path, change: Callable[[Path], object]):
    before = folder_digest(folder)
    change(folder)
    assert folder_digest(folder) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "steps" / "evaluate.py").write_text("c"),
        lambda folder: (folder / "steps" / "evaluate.py").rename(folder / "steps" / "score.py"),
        lambda folder: (folder / "steps" / "empty.txt").write_text(""),
        lambda folder: (folder / "steps" / "evaluate.py").unlink(),
    ],
    ids=["content", "name", "a new empty file", "a file less"],
)
def test_a_change_of_any_file_is_a_change(folder: Path, change: Callable[[Path], object]):
    before = folder_digest(folder)
    change(folder)
    assert folder_digest(folder) != before


def test_content_moved_between_two_files_is_a_change(folder: Path):
    before = folder_digest(folder)
    (folder / "train.py").write_text("b")
    (folder / "steps" / "evaluate.py").write_text("a")
    assert folder_digest(folder) != before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has file names that are no UTF-8")
def test_a_file_name_need_not_be_utf_8(folder: Path):
    before = folder_digest(folder)
    (folder / os.fsdecode(b"caf\xe9.txt")).write_text("a")
    assert folder_digest(folder) != before
