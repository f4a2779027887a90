"""Tokens of calls: the same for one intention, another for the next."""

from __future__ import annotations

from airflow_sm_pipelines.client.request_tokens import make_stop_token, make_token


def test_the_same_intention_has_the_same_token() -> None:
    assert make_token("start", "d", 1) == make_token("start", "d", 1) != make_token("start", "d", 2)


def test_an_execution_that_was_resumed_can_be_stopped_again() -> None:
    assert make_stop_token("arn:aws:x") != make_stop_token("arn:aws:x")
