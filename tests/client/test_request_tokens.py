"""Tokens of calls: the same for one intention, another for the next."""

from __future__ import annotations

from airflow_sm_pipelines.client.request_tokens import make_stop_token, make_token

GOLDEN = "4e40eeaf82c42bc04343422296225e9667c0b4bb9f6b25d7032a3d3f0faf4b1b"


def test_the_same_intention_has_the_same_token() -> None:
    assert make_token("start", "d", 1) == make_token("start", "d", 1) != make_token("start", "d", 2)
    assert make_token("start", "ab", "c") != make_token("start", "a", "bc")


def test_a_release_gives_the_token_that_an_earlier_one_has_given() -> None:
    # A task that is tried again after an upgrade must not start a second execution.
    assert make_token("start", "d", 1) == GOLDEN


def test_an_execution_that_was_resumed_can_be_stopped_again() -> None:
    assert make_stop_token("arn:aws:x") != make_stop_token("arn:aws:x")
