"""What comes from the service is shown on a terminal, and commands it nothing."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

import airflow_sm_pipelines.cli as cli
from airflow_sm_pipelines.cli.terminal import paint, render_json

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
    # The version; the plain progress and `--output -`, which clean what they write; and the functions themselves.
    assert found == {"entry_point.py", "progress.py", "sources.py", "terminal.py"}
