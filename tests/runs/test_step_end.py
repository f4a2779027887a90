"""How a step's end becomes its task's."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.client.wait_policy import Verdict
from airflow_sm_pipelines.runs.step_end import judge_step, make_step_xcoms

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e"


@pytest.mark.parametrize(
    ("execution", "step", "verdict", "text"),
    [
        ("Executing", "Succeeded", Verdict.SUCCEED, "Step 'B' Succeeded"),
        ("Executing", "Failed", Verdict.FAIL, "Step 'B' Failed: no disk"),
        ("Stopped", "Stopped", Verdict.FAIL, "Step 'B' Stopped"),
        ("Failed", None, Verdict.FAIL, "Step 'B' was not reached. Pipeline 'p' execution"),
        ("Stopped", None, Verdict.FAIL, "was not reached"),
        ("Succeeded", None, Verdict.SKIP, "it was not selected, or waits for a step that did not run"),
        ("CompletedWithFailures", None, Verdict.SKIP, "ended CompletedWithFailures"),
    ],
)
def test_each_end_has_its_state(execution: str, step: str | None, verdict: Verdict, text: str) -> None:
    steps = () if step is None else (StepReport("B", None, step, "no disk" if step == "Failed" else None),)
    outcome = judge_step(ExecutionReport(ARN, execution, steps=steps), "B")
    assert outcome.verdict is verdict
    assert text in outcome.text


def test_what_a_step_yields_is_a_value_of_its_own_and_part_of_the_return_value() -> None:
    step = StepReport("Train", "Training", "Succeeded", seconds=3.0, job_arn="arn:job")
    found = make_step_xcoms(step, {"model": "s3://b/model.tar.gz", "status": "of the job"})
    assert found["model"] == found["return_value"]["model"] == "s3://b/model.tar.gz"
    assert (found["name"], found["status"], found["job_arn"]) == ("Train", "Succeeded", "arn:job")


@pytest.mark.parametrize(
    ("outcome", "branches", "verdict"),
    [
        ("True", [["Check", False]], Verdict.SKIP),
        ("False", [["Check", True]], Verdict.SKIP),
        ("False", [["Check", False]], Verdict.FAIL),
        ("True", [["Check", False], ["Inner", True]], Verdict.SKIP),
        (None, [["Check", False]], Verdict.FAIL),
    ],
)
def test_a_step_whose_branch_was_not_taken_is_skipped_also_if_the_execution_fails(
    outcome: str | None, branches: list[list[Any]], verdict: Verdict
) -> None:
    condition = StepReport("Check", "Condition", "Succeeded", metadata={"Condition": {"Outcome": outcome}})
    ended = judge_step(ExecutionReport(ARN, "Failed", steps=(condition,)), "B", branches=branches)
    assert ended.verdict is verdict
