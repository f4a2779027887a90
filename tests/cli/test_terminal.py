"""What comes from the service is shown on a terminal, and commands it nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import airflow_sm_pipelines.cli as cli
from airflow_sm_pipelines.cli.terminal import clean, paint, render_json

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07\x1b[2J\x1b[31mred", "\\x1b]0;owned\\x07\\x1b[2J\\x1b[31mred"),
        ("a\rb\x08\x9b31m", "a\\x0db\\x08\\x9b31m"),
        ("\x1b]52;c;ZXZpbA==\x07last line", "\\x1b]52;c;ZXZpbA==\\x07last line"),
        ("name \u202egnp.exe", "name \\u202egnp.exe"),
        ("a tab\tand a line\nstay, ünïcode too ✓\r\n", "a tab\tand a line\nstay, ünïcode too ✓\n"),
    ],
    ids=["title and colour", "carriage return, backspace and C1", "clipboard", "reversed", "harmless"],
)
def test_a_text_that_commands_a_terminal_is_shown(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.text(st.characters()))
def test_nothing_that_a_terminal_acts_on_is_left_and_json_stays_json(text: str) -> None:
    assert not COMMANDS.search(clean(text))
    clean(text).encode()
    assert clean(clean(text)) == clean(text)
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
    # The version; the plain progress and `--output -`, which clean what they write; and the functions themselves.
    assert found == {"entry_point.py", "progress.py", "sources.py", "terminal.py"}
