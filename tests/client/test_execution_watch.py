"""The wait for one execution: which refusals end it."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.client.answers import UNREADABLE_ANSWER
from airflow_sm_pipelines.client.execution_watch import MAX_UNANSWERED_LOOKS, ExecutionWatch
from airflow_sm_pipelines.exceptions import PipelineUnavailableError


class Refusing:
    """Calls that are refused."""

    def __init__(self, code: str) -> None:
        self.code = code

    def describe_report(self, arn: str) -> Any:
        raise PipelineUnavailableError("no", code=self.code)


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
