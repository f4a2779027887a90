"""What a new attempt does about an earlier attempt's execution, by value."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.client.wait_policy import WaitPolicy
from airflow_sm_pipelines.runs.submission import (
    Move,
    Submission,
    TaskIdentity,
    is_resumable,
    make_submission,
    plan_move,
)

IDENTITY = TaskIdentity(
    dag_id="d", run_id="r", task_id="t", map_index=-1, run_start="2026", max_tries=2, clear_number=0, try_number=1
)
ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"


FAIL_STEP = (StepReport("TooHigh", "Fail", "Failed"),)


def move(
    status: str,
    *,
    on_retry: str = "resume",
    on_clear: str = "restart",
    policy: WaitPolicy | None = None,
    failed_try: int = 0,
    steps: tuple[StepReport, ...] = (),
    **identity: int,
) -> Move:
    last = make_submission(IDENTITY, number=1, request={}).with_arn(ARN).with_failed_try(failed_try)
    return plan_move(
        identity=replace(IDENTITY, **{"try_number": 2, **identity}),
        last=last,
        report=ExecutionReport(arn=ARN, status=status, steps=steps),
        policy=policy or WaitPolicy(),
        on_retry=on_retry,
        on_clear=on_clear,
    )


def test_the_token_follows_from_the_task_instance_and_the_number_alone() -> None:
    first = make_submission(IDENTITY, number=1, request={"PipelineName": "p"})
    assert make_submission(replace(IDENTITY, try_number=7), number=1, request={}).token == first.token
    others = [
        make_submission(IDENTITY, number=2, request={}),
        make_submission(replace(IDENTITY, map_index=0), number=1, request={}),
        make_submission(replace(IDENTITY, run_id="s"), number=1, request={}),
        make_submission(replace(IDENTITY, task_id="u"), number=1, request={}),
        make_submission(replace(IDENTITY, run_start="2027"), number=1, request={}),
        make_submission(replace(IDENTITY, max_tries=5), number=1, request={}),
    ]
    tokens = {first.token, *(other.token for other in others)}
    assert len(tokens) == 7
    assert all(re.fullmatch(r"[a-zA-Z0-9-]{32,128}", token) for token in tokens)


def test_a_submission_survives_json() -> None:
    submission = make_submission(IDENTITY, number=3, request={"PipelineName": "p"}).with_arn(ARN).with_resume()
    assert Submission(**submission.to_json()) == submission
    assert submission.resume_token != submission.with_resume().resume_token


@pytest.mark.parametrize("status", ["Executing", "Succeeded", "Hibernating"])
@pytest.mark.parametrize("on_retry", ["resume", "restart", "fail"])
def test_a_retry_takes_a_live_or_successful_execution_on(status: str, on_retry: str) -> None:
    assert move(status, on_retry=on_retry) is Move.ATTACH


@pytest.mark.parametrize("status", ["Failed", "Stopped", "CompletedWithFailures"])
@pytest.mark.parametrize(
    ("on_retry", "expected"), [("resume", Move.RESUME), ("restart", Move.RESTART), ("fail", Move.FAIL)]
)
def test_a_retry_of_an_unsuccessful_execution_is_the_authors_choice(status: str, on_retry: str, expected: Move) -> None:
    assert move(status, on_retry=on_retry) is expected


def test_an_end_that_the_policy_accepts_is_not_run_again() -> None:
    assert move("Stopped", policy=WaitPolicy(on_stopped="succeed")) is Move.ATTACH
    assert move("CompletedWithFailures", policy=WaitPolicy(on_completed_with_failures="skip")) is Move.ATTACH


@pytest.mark.parametrize(
    ("on_retry", "expected"),
    [("resume", Move.AWAIT_STOP_AND_RESUME), ("restart", Move.RESTART), ("fail", Move.ATTACH)],
)
def test_an_execution_that_is_stopping_is_not_taken_for_a_running_one(on_retry: str, expected: Move) -> None:
    assert move("Stopping", on_retry=on_retry) is expected


@pytest.mark.parametrize("on_retry", ["resume", "restart", "fail"])
def test_a_clear_starts_anew_whatever_retries_would_do(on_retry: str) -> None:
    for status in ("Succeeded", "Failed", "Stopped"):
        assert move(status, on_retry=on_retry, max_tries=4, clear_number=1) is Move.RESTART
    for status in ("Executing", "Stopping"):
        assert move(status, on_retry=on_retry, max_tries=4, clear_number=1) is Move.STOP_AND_RESTART


def test_clearing_another_task_of_the_run_starts_nothing_that_is_alive_again() -> None:
    assert move("Executing", clear_number=1) is Move.ATTACH
    assert move("Succeeded", clear_number=1) is Move.ATTACH
    assert move("Stopped", clear_number=1) is Move.RESTART


def test_after_an_attempt_that_failed_by_itself_a_clear_of_another_task_leaves_a_retry_a_retry() -> None:
    assert move("Failed", clear_number=1, failed_try=1) is Move.RESUME
    assert move("Stopping", clear_number=1, failed_try=1) is Move.AWAIT_STOP_AND_RESUME
    assert move("Failed", clear_number=1, failed_try=1, on_retry="fail") is Move.FAIL


def test_the_mark_of_an_earlier_attempt_says_nothing_about_the_last_one() -> None:
    assert move("Failed", clear_number=1, failed_try=1, try_number=3) is Move.RESTART


def test_a_clear_of_the_task_itself_is_a_clear_whatever_mark_there_is() -> None:
    assert move("Failed", max_tries=4, clear_number=1, failed_try=1) is Move.RESTART


def test_a_clear_that_was_noted_is_one_although_it_raised_nothing() -> None:
    noted = replace(make_submission(IDENTITY, number=1, request={}).with_arn(ARN).with_failed_try(1), is_cleared=True)
    report = ExecutionReport(arn=ARN, status="Executing", steps=())
    identity = replace(IDENTITY, try_number=2, clear_number=1)
    given = {"identity": identity, "last": noted, "report": report, "policy": WaitPolicy(), "on_retry": "resume"}
    assert plan_move(**given) is Move.STOP_AND_RESTART
    assert plan_move(**given, on_clear="resume") is Move.ATTACH


@pytest.mark.parametrize("cleared", [{"max_tries": 4, "clear_number": 1}, {"clear_number": 1}])
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Executing", Move.ATTACH),
        ("Succeeded", Move.ATTACH),
        ("Failed", Move.RESUME),
        ("Stopped", Move.RESUME),
        ("Stopping", Move.AWAIT_STOP_AND_RESUME),
    ],
)
def test_a_clear_goes_on_with_the_execution_where_the_author_says_so(
    status: str, expected: Move, cleared: dict[str, int]
) -> None:
    assert move(status, on_clear="resume", on_retry="fail", **cleared) is expected


def test_a_cleared_task_does_not_insist_on_resuming_what_a_fail_step_ended() -> None:
    assert move("Failed", on_clear="resume", max_tries=4, steps=FAIL_STEP) is Move.RESTART


def test_what_a_fail_step_ended_cannot_be_resumed() -> None:
    ended = ExecutionReport(arn=ARN, status="Failed", steps=(StepReport("TooHigh", "Fail", "Failed"),))
    assert not is_resumable(ended)
    assert is_resumable(replace(ended, steps=(StepReport("Train", "Training", "Failed"),)))
