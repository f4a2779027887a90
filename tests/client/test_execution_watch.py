"""The wait for one execution: which refusals end it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from airflow_sm_pipelines.client.answers import UNREADABLE_ANSWER
from airflow_sm_pipelines.client.api_errors import parse_error_class
from airflow_sm_pipelines.client.execution_watch import MAX_UNANSWERED_LOOKS, ExecutionWatch
from airflow_sm_pipelines.client.reports import ExecutionReport
from airflow_sm_pipelines.exceptions import PipelineAccessError, PipelineUnavailableError


class Refusing:
    """Calls that are refused, after some that are answered."""

    def __init__(self, code: str, *, answers: int = 0) -> None:
        self.code = code
        self.answers = answers

    def describe_report(self, arn: str) -> Any:
        self.answers -= 1
        if self.answers >= 0:
            return ExecutionReport(arn, "Executing")
        is_denied = parse_error_class(self.code) is PipelineAccessError
        raise (PipelineAccessError if is_denied else PipelineUnavailableError)("no", code=self.code)


def looks(code: str) -> list[Any]:
    watch = ExecutionWatch("arn", waiter_delay=1, deadline=None, log=print, warn=print)
    calls: Any = Refusing(code)
    return [watch.look(calls) for _ in range(MAX_UNANSWERED_LOOKS)]


@pytest.mark.parametrize("code", ["EndpointConnectionError", UNREADABLE_ANSWER])
def test_a_wait_that_nobody_answers_ends(code: str) -> None:
    *before, last = looks(code)
    assert not any(before)
    assert (last["kind"], last["code"]) == ("error", code)
    assert "may still be running" in last["message"]


def test_throttling_is_an_answer() -> None:
    assert not any(looks("ThrottlingException"))


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "ClockSkew", "AccessDeniedException"])
def test_what_is_refused_for_too_long_ends(code: str) -> None:
    watch = ExecutionWatch("arn", waiter_delay=1, deadline=None, log=print, warn=print, max_refused_seconds=0.05)
    calls: Any = Refusing(code, answers=1)
    assert (watch.look(calls), watch.needs_new_client) == (None, False)
    assert (watch.look(calls), watch.needs_new_client) == (None, code[0] in "EA")
    time.sleep(0.06)
    last: Any = watch.look(calls)
    assert (last["kind"], last["code"]) == ("error", code)
    assert "(max_refused_seconds); the execution may still be running" in last["message"]


def test_an_answer_in_between_begins_the_count_anew() -> None:
    watch = ExecutionWatch("arn", waiter_delay=1, deadline=None, log=print, warn=print, max_refused_seconds=0.05)
    refusing: Any
    answering: Any
    refusing, answering = Refusing("ThrottlingException"), Refusing("", answers=9)
    assert watch.look(refusing) is None
    time.sleep(0.06)
    assert watch.look(answering) is None
    assert watch.look(refusing) is None


def test_who_never_had_access_does_not_wait_for_it() -> None:
    watch = ExecutionWatch("arn", waiter_delay=1, deadline=None, log=print, warn=print)
    calls: Any = Refusing("AccessDeniedException")
    event: Any = watch.look(calls)
    assert (event["kind"], event["message"]) == ("error", "no")
