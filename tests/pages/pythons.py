"""Runs the Python blocks of a page: as excerpts of a tested example, as tests, or as parts of a DAG file."""

from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.processes import run_child
from tests.pages.blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.pages.blocks import Block

PRELUDE = Path(__file__).parent / "prelude.py"
SETUPS = Path(__file__).parent / "setups"


def run_python_blocks(blocks: Sequence[Block]) -> dict[str, str | None]:
    """What is wrong with each block of a page, by its place; None where nothing is."""
    parts = [block for block in blocks if not is_excerpt(block.text) and not _is_test(block)]
    found: dict[str, str | None] = dict.fromkeys((block.place for block in blocks), None)
    if parts:
        found |= _run_in_a_dag(parts)
    return found | {block.place: _run_tests(block) for block in blocks if _is_test(block)}


def is_excerpt(text: str) -> bool:
    """Whether an example, which tests run, has these lines in this order, wherever it breaks them."""
    lines = [_squeeze(line).rstrip(",") for line in text.splitlines()]
    wanted = [line for line in lines if line not in ("", "...")]
    return bool(wanted) and any(_has_in_order(example, wanted) for example in _examples())


def _squeeze(text: str) -> str:
    """Code without comments, blanks and commas before a bracket."""
    lines = (re.sub(r"(^|\s+)#.*$", "", line) for line in text.splitlines())
    return re.sub(r",(?=[)\]}])", "", re.sub(r"\s+", "", "".join(lines)))


@cache
def _examples() -> list[str]:
    files = [path for path in sorted((ROOT / "dags").rglob("*.py")) if "__pycache__" not in path.parts]
    return [_squeeze(path.read_text()) for path in files]


def _has_in_order(example: str, parts: list[str]) -> bool:
    at = 0
    for part in parts:
        at = example.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


def _is_test(block: Block) -> bool:
    return re.search(r"^def test_", block.text, re.MULTILINE) is not None


def _run_in_a_dag(blocks: list[Block]) -> dict[str, str | None]:
    """Execute the blocks one after the other inside one DAG, with the names of the prelude."""
    found: dict[str, str | None] = {}
    with _example_folder() as dags:
        names: dict[str, Any] = {"__file__": str(dags / "page.py"), "__name__": "page"}
        exec(compile(PRELUDE.read_text(), str(PRELUDE), "exec"), names)  # noqa: S102 - the page's own code
        for block in blocks:
            try:
                with names["DAG"](f"page_{block.line}", schedule=None):
                    names.update({name: make() for name, make in names["UPSTREAM"].items()})
                    exec(compile(block.before + block.text, block.place, "exec"), names)  # noqa: S102
            except Exception as error:
                found[block.place] = f"{block.place}: {type(error).__name__}: {error}"
            else:
                found[block.place] = None
    return found


@contextmanager
def _example_folder() -> Iterator[Path]:
    before = Path.cwd()
    os.chdir(ROOT / "dags")
    try:
        yield ROOT / "dags"
    finally:
        os.chdir(before)


def _run_tests(block: Block) -> str | None:
    """Run a block of tests with pytest, in a folder that the page's setup for it has made."""
    ast.parse(block.text)
    lines: list[str] = []
    with tempfile.TemporaryDirectory(prefix="page-tests-") as folder:
        setup = SETUPS / f"{Path(block.page).stem}_tests.sh"
        (Path(folder) / "test_page.py").write_text(block.text)
        script = (
            f'set -e; PATH="{Path(sys.executable).parent}:$PATH"; . {setup}; python -m pytest -q -p no:cacheprovider'
        )
        done = run_child(
            ["bash", "-c", script],
            cwd=Path(folder),
            env={**os.environ, "REPOSITORY": str(ROOT), "PYTHONPATH": str(ROOT), "HOME": folder},
            timeout_seconds=300,
            log=lines.append,
        )
    if done.exit_code == 0 and not done.is_timed_out:
        return None
    end = ["It took longer than five minutes."] if done.is_timed_out else []
    return f"{block.place}:\n" + "\n".join([*lines, *end])[-2000:]
