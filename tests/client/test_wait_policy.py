"""The wait policy and what it says, by value."""

from __future__ import annotations

from dataclasses import replace

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport, parse_report, parse_step
from airflow_sm_pipelines.client.wait_policy import (
    ProgressLog,
    Verdict,
    WaitPolicy,
    plan_backoff,
    plan_delay,
    render_failure,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("Executing", Verdict.WAIT),
        ("Stopping", Verdict.WAIT),
        ("Succeeded", Verdict.SUCCEED),
        ("Failed", Verdict.FAIL),
        ("Stopped", Verdict.FAIL),
        ("CompletedWithFailures", Verdict.FAIL),
        ("Hibernating", Verdict.WAIT),
    ],
)
def test_each_status_has_one_meaning_unless_the_author_chooses(status: str, expected: Verdict) -> None:
    assert WaitPolicy().verdict(status) is expected
    assert ExecutionReport(ARN, status).is_terminal is (expected is not Verdict.WAIT)


@pytest.mark.parametrize("choice", ["fail", "succeed", "skip"])
def test_the_author_chooses_for_the_two_ambiguous_ends_alone(choice: str) -> None:
    policy = WaitPolicy(on_stopped=choice, on_completed_with_failures=choice)
    assert policy.verdict("Stopped") is policy.verdict("CompletedWithFailures") is Verdict(choice)
    assert policy.verdict("Failed") is Verdict.FAIL
    assert policy.verdict("Succeeded") is Verdict.SUCCEED


@pytest.mark.parametrize("name", ["on_stopped", "on_completed_with_failures"])
def test_an_outcome_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}='maybe': expected one of 'fail', 'succeed', 'skip'"):
        WaitPolicy(**{name: "maybe"})


def test_each_transition_is_told_once() -> None:
    train = StepReport("Train", "Training", "Executing")
    log = ProgressLog()
    first = ExecutionReport(ARN, "Executing", steps=(train,))
    assert log.lines(first) == ["Step 'Train' (Training) Executing", f"Execution {ARN}: Executing"]
    assert log.lines(first) == []
    done = replace(train, status="Succeeded", seconds=12.5)
    second = ExecutionReport(ARN, "Executing", steps=(done, StepReport("Evaluate", None, "Starting")))
    assert log.lines(second) == ["Step 'Train' (Training) Succeeded after 12.5 s", "Step 'Evaluate' Starting"]
    assert log.lines(second) == []


def test_a_resumed_watch_sums_up_what_had_ended() -> None:
    done = StepReport("Train", "Training", "Succeeded", seconds=3.0)
    report = ExecutionReport(ARN, "Executing", steps=(done, StepReport("Evaluate", None, "Executing")))
    assert ProgressLog().lines(report)[:2] == [
        "Already ended: Step 'Train' (Training) Succeeded after 3.0 s",
        "Step 'Evaluate' Executing",
    ]


def test_iterations_of_one_step_are_told_apart() -> None:
    steps = tuple(StepReport(f"Body-{i}", None, "Executing", iteration=i) for i in range(3))
    assert len(ProgressLog().lines(ExecutionReport(ARN, "Executing", steps=steps))) == 4


def test_the_failure_names_steps_reasons_and_log_tails() -> None:
    failed = StepReport("Evaluate", "Processing", "Failed", failure_reason="exit code 3", seconds=1.0)
    report = ExecutionReport(ARN, "Failed", failure_reason="Step failure", steps=(failed,))
    text = render_failure(report, log_tails={"Evaluate": ("/aws/sagemaker/ProcessingJobs/j", ["boom"])})
    assert text.splitlines() == [
        f"Pipeline 'p' execution {ARN} ended Failed: Step failure",
        "  Step 'Evaluate' (Processing) Failed after 1.0 s: exit code 3",
        "  Last lines of step 'Evaluate' (/aws/sagemaker/ProcessingJobs/j):",
        "    boom",
    ]


def test_a_stopped_execution_says_where_it_was() -> None:
    report = ExecutionReport(ARN, "Stopped", steps=(StepReport("Train", None, "Stopped"),))
    assert "Stopped in: Train." in render_failure(report)


def test_young_executions_are_looked_at_often_and_old_ones_at_the_authors_interval() -> None:
    assert plan_delay(elapsed_seconds=0, waiter_delay=30) == 1.0
    assert plan_delay(elapsed_seconds=100, waiter_delay=30) == 10.0
    assert plan_delay(elapsed_seconds=10_000, waiter_delay=30) == 30
    assert plan_delay(elapsed_seconds=10_000, waiter_delay=0) == 0.1
    assert [plan_backoff(failures=n, waiter_delay=30) for n in (1, 2, 5, 50)] == [2, 4, 32, 60]


def test_a_report_survives_json() -> None:
    step = parse_step(
        {
            "StepName": "Body-1",
            "StepStatus": "Succeeded",
            "AttemptCount": 2,
            "Metadata": {"TuningJob": {"Arn": "arn:x:hyper-parameter-tuning-job/t"}},
            "CacheHitResult": {"SourcePipelineExecutionArn": ARN},
            "IterationContext": {"ParentStepName": "Loop", "Index": 1, "Item": "a"},
        }
    )
    assert (step.type, step.iteration, step.cached_from, step.attempts) == ("Tuning", 1, ARN, 2)
    report = ExecutionReport(ARN, "Failed", "why", 3, (step,))
    assert parse_report(report.to_json()) == report
