"""The errors of runs that do not succeed, word for word where a person must learn what to do."""

from __future__ import annotations

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineExecutionFailedError,
    PipelineNotFoundError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.runs.results import make_failure_error, make_result, make_timeout_error, make_watch_error

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/abc"
PREPARED = StepReport("Prepare", "ProcessingJob", "Succeeded")
TRAINING = StepReport("Train", "TrainingJob", "Executing")
WAITING = StepReport("Tell", "Callback", "Executing")


@pytest.mark.parametrize(
    ("steps", "running"), [((PREPARED, TRAINING, WAITING), "Train, Tell"), ((PREPARED,), "no step"), ((), "no step")]
)
@pytest.mark.parametrize(
    ("was_stopped", "end"), [(None, ""), (True, " It was told to stop."), (False, " It was stopping already.")]
)
def test_when_time_is_up_the_steps_that_run_are_named_and_no_others(
    steps: tuple[StepReport, ...], running: str, was_stopped: bool | None, end: str
) -> None:
    error = make_timeout_error(ExecutionReport(ARN, "Executing", steps=steps), was_stopped=was_stopped)
    start = f"Pipeline execution {ARN} is still Executing at the end of the wait"
    assert str(error) == f"{start}; running: {running}.{end}"
    assert not error.is_final


def failure(report: ExecutionReport, on_retry: str) -> PipelineExecutionFailedError:
    return make_failure_error(
        report,
        on_retry=on_retry,  # type: ignore[arg-type]
        log_tails={"Train": ("/aws/sagemaker/TrainingJobs", ["last words"])},
        log_addresses={"Train": "https://console/train"},
    )


def test_a_failure_has_the_step_its_last_lines_and_where_all_of_them_are() -> None:
    failed = StepReport("Train", "TrainingJob", "Failed", failure_reason="AlgorithmError: exit code 3")
    text = str(failure(ExecutionReport(ARN, "Failed", "Step failure", steps=(PREPARED, failed)), "resume"))
    assert "AlgorithmError: exit code 3" in text
    assert "last words" in text
    assert text.endswith("\n  All lines of step 'Train': https://console/train")
    assert "Prepare" not in text


@pytest.mark.parametrize(("on_retry", "is_final"), [("resume", False), ("restart", False), ("fail", True)])
def test_a_failure_is_retried_as_the_author_says(on_retry: str, is_final: bool) -> None:
    failed = StepReport("Train", "TrainingJob", "Failed")
    error = failure(ExecutionReport(ARN, "Failed", "Step failure", steps=(failed,)), on_retry)
    assert error.is_final is is_final
    assert "Not retried" not in str(error)


@pytest.mark.parametrize(("on_retry", "is_final"), [("resume", True), ("restart", False)])
def test_what_a_fail_step_has_ended_is_not_resumed(on_retry: str, is_final: bool) -> None:
    ended = StepReport("TooHigh", "Fail", "Failed", failure_reason="the error is too high")
    error = failure(ExecutionReport(ARN, "Failed", "the error is too high", steps=(ended,)), on_retry)
    assert error.is_final is is_final
    sentence = "\nNot retried: a Fail step ended it, and such an execution cannot be resumed."
    assert str(error).endswith(sentence) is is_final


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("ResourceNotFound", PipelineNotFoundError),
        ("ThrottlingException", PipelineUnavailableError),
        ("EndpointConnectionError", PipelineUnavailableError),
        ("SomethingException", PipelineApiError),
        (None, PipelineApiError),
    ],
)
def test_a_watch_that_failed_has_the_class_of_its_code(code: str | None, expected: type[PipelineApiError]) -> None:
    error = make_watch_error({"message": "what happened", **({} if code is None else {"code": code})})
    assert (type(error), str(error), error.code) == (expected, "what happened", code or "Unknown")


def test_every_run_has_the_same_keys() -> None:
    report = ExecutionReport(ARN, "Failed", "Step failure", 3, (PREPARED,))
    result = make_result(report)
    assert result.pop("steps")[0]["name"] == "Prepare"
    assert result == {
        "pipeline_name": report.pipeline_name,
        "pipeline_execution_arn": ARN,
        "pipeline_version_id": 3,
        "status": "Failed",
        "failure_reason": "Step failure",
        "step_outputs": None,
    }
