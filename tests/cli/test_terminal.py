"""What comes from the service is shown on a terminal, and commands it nothing."""

from __future__ import annotations

import contextlib
import json
import logging
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airflow_sm_pipelines.cli as cli
from airflow_sm_pipelines.cli.terminal import LineFormatter, paint, render_json, show_log_lines

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")


@given(st.text(st.characters()))
def test_nothing_that_a_terminal_acts_on_is_left_and_json_stays_json(text: str) -> None:
    assert not COMMANDS.search(render_json([text]))
    assert json.loads(render_json([text])) == [text]


def test_paint_cleans_what_it_paints() -> None:
    assert paint("\x1b[2J", "red") == "\\x1b[2J"


def test_the_commands_write_through_the_terminals_functions() -> None:
    folder = Path(cli.__file__).parent
    found = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if re.search(r"(?<![.\w])print\(|sys\.std(out|err)\.write", path.read_text())
    }
    # The version; the guardian, which stands alone; the plain progress and `--output -`, which clean what they write;
    # and the functions themselves.
    assert found == {"entry_point.py", "guardian.py", "progress.py", "sources.py", "terminal.py"}


def test_a_log_line_names_its_error_and_shows_where_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def line(error: Exception | None) -> str:
        info = None if error is None else (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.WARNING, "x.py", 1, "No %s.\x1b[2J", ("disk",), info)
        return LineFormatter().format(record)

    monkeypatch.delenv("SM_PIPELINES_DEBUG", raising=False)
    assert line(None) == "sm-pipelines: No disk.\\x1b[2J"
    assert line(OSError("full")) == "sm-pipelines: No disk.\\x1b[2J (OSError: full)"
    monkeypatch.setenv("SM_PIPELINES_DEBUG", "1")
    assert line(None) == "sm-pipelines: No disk.\\x1b[2J"
    assert line(OSError("full")).splitlines() == ["sm-pipelines: No disk.\\x1b[2J (OSError: full)", "OSError: full"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_log_line_that_cannot_be_written_ends_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    logger = logging.getLogger("airflow_sm_pipelines")
    monkeypatch.setattr(logger, "handlers", [])
    monkeypatch.setattr(logger, "propagate", False)
    show_log_lines()
    full = Path("/dev/full").open("w")  # noqa: SIM115 - closed below, which fails
    monkeypatch.setattr(sys, "stderr", full)
    logger.warning("The disk is full.")
    with contextlib.suppress(OSError):
        full.close()
    logger.warning("The file is closed.")
