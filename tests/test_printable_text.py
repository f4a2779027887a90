"""Text of others on a terminal and in a task's log: shown, and neither a command nor a line of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.client.wait_policy import render_failure, render_step
from airflow_sm_pipelines.exceptions import PipelineApiError, SageMakerPipelinesError
from airflow_sm_pipelines.printable_text import clean, clean_log_text, escape_unsafe_as_json

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\ud800-\udfff]")
OWNED = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
FORGED = f"{OWNED}\n[2026-01-01] INFO - done\n::endgroup::"


@given(st.text(st.characters()))
def test_nothing_that_commands_is_left(text: str) -> None:
    for shown in (clean(text), clean_log_text(text)):
        assert not COMMANDS.search(shown)
        shown.encode()
    assert clean(clean(text)) == clean(text)
    assert not COMMANDS.search(escape_unsafe_as_json(text))


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::group::x", "\\x3a:group::x"),
        ("[Train algo-1] ::endgroup::", "[Train algo-1] \\x3a:endgroup::"),
        ("::error file=a,line=1::no", "\\x3a:error file=a,line=1::no"),
        ("std::vector::push", "std::vector::push"),
        ("first\nsecond", "first\n    second"),
    ],
)
def test_a_log_line_commands_no_viewer_and_forges_no_line(text: str, shown: str) -> None:
    assert clean_log_text(text) == shown


def test_reasons_names_and_lines_reach_a_task_s_log_as_text() -> None:
    step = StepReport(name=f"Train{OWNED}", type="Training", status="Failed", failure_reason=FORGED)
    report = ExecutionReport(
        arn="arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/x",
        status="Failed",
        failure_reason=FORGED,
        steps=(step,),
    )
    for text in (render_step(step), render_failure(report, log_tails={"Train": ("group", [FORGED])})):
        assert not COMMANDS.search(text)
        assert not re.search(r"^(\[2026|::)", text, re.MULTILINE)


def test_an_error_s_text_is_fit_for_a_terminal_and_keeps_what_it_was_made_of() -> None:
    error = PipelineApiError(f"refused: {OWNED}", code="X")
    assert not COMMANDS.search(str(error))
    assert error.args == (f"refused: {OWNED}",)
    assert str(SageMakerPipelinesError()) == ""
