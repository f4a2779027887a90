"""What a cleared step asks of SageMaker: the rules alone, on plain values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
from airflow_sm_pipelines.definition.shape import PipelineShape, StepShape
from airflow_sm_pipelines.runs.repair import (
    GroupExecution,
    RepairMove,
    find_current,
    find_source,
    make_resume_token,
    make_select_token,
    mark_step,
    merge_reports,
    parse_executions,
    plan_repair,
)

ARN = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e{}"
DIAMOND = PipelineShape(
    (
        StepShape("A", "Callback"),
        StepShape("B", "Callback", ("A",)),
        StepShape("C", "Callback", ("A",)),
        StepShape("D", "Callback", ("B", "C")),
    )
)


def report(status: str, number: int = 0, **steps: str) -> ExecutionReport:
    """An execution whose steps have these statuses."""
    found = [StepReport(name, "Callback", status, start_time=f"{number}:{name}") for name, status in steps.items()]
    return ExecutionReport(ARN.format(number), status, steps=tuple(found))


def decide(found: ExecutionReport, step: str, *others: str, seen: str | None = "now") -> Any:
    """What the task of a step does that was cleared, together with these others."""
    cleared = {name: found.latest_step(name) for name in (step, *others)}
    mark = mark_step(found, step) if seen == "now" else seen
    return plan_repair(found, step, seen=mark, shape=DIAMOND, cleared=cleared)


FAILED = report("Failed", A="Succeeded", B="Failed", C="Succeeded")
SUCCEEDED = report("Succeeded", A="Succeeded", B="Succeeded", C="Succeeded", D="Succeeded")


@pytest.mark.parametrize(
    ("found", "cleared", "move", "steps"),
    [
        (FAILED, "B", RepairMove.RESUME, ()),
        (replace(FAILED, status="Stopped"), "B", RepairMove.RESUME, ()),
        (replace(FAILED, status="Executing"), "B", RepairMove.WAIT, ()),
        (FAILED, "D", RepairMove.RESUME, ()),
        (FAILED, "C", RepairMove.SELECT, ("B", "C", "D")),
        (FAILED, "BC", RepairMove.SELECT, ("B", "C", "D")),
        (report("Failed", A="Succeeded", B="Failed", C="Failed"), "BC", RepairMove.RESUME, ()),
        (SUCCEEDED, "B", RepairMove.SELECT, ("B", "D")),
        (SUCCEEDED, "BC", RepairMove.SELECT, ("B", "C", "D")),
        (SUCCEEDED, "A", RepairMove.SELECT, ("A", "B", "C", "D")),
        (replace(SUCCEEDED, status="Executing"), "B", RepairMove.WAIT, ()),
        (report("Succeeded", A="Succeeded", C="Succeeded"), "B", RepairMove.MIRROR, ()),
        (report("Succeeded", A="Succeeded", C="Succeeded"), "C", RepairMove.SELECT, ("C",)),
        (report("CompletedWithFailures", A="Succeeded", B="Failed", C="Succeeded"), "B", RepairMove.SELECT, ("B", "D")),
    ],
)
def test_each_state_of_a_cleared_step_has_one_answer(
    found: ExecutionReport, cleared: str, move: RepairMove, steps: tuple[str, ...]
) -> None:
    decided = decide(found, *cleared)
    assert (decided.move, decided.steps) == (move, steps)


def test_tasks_that_are_cleared_together_decide_the_same_and_make_the_same_token() -> None:
    decided = [decide(FAILED, *order) for order in ("BC", "CB")]
    assert decided[0] == decided[1]
    assert make_select_token(FAILED.arn, "BCD") == make_select_token(FAILED.arn, "DCB")
    assert make_select_token(FAILED.arn, "BD") != make_select_token(SUCCEEDED.arn + "1", "BD")


def test_a_step_that_has_run_anew_since_its_task_ended_is_only_mirrored() -> None:
    again = report("Failed", 1, A="Succeeded", B="Failed", C="Succeeded")
    assert decide(again, "B", seen=mark_step(FAILED, "B")).move is RepairMove.MIRROR
    assert decide(FAILED, "B", seen=None).move is RepairMove.MIRROR
    assert make_resume_token(again) != make_resume_token(FAILED)


def test_a_step_that_was_not_reached_is_repaired_again_only_after_another_end() -> None:
    assert mark_step(FAILED, "D") != mark_step(report("Failed", 1, A="Succeeded", B="Failed"), "D")
    assert mark_step(FAILED, "D") != mark_step(replace(FAILED, status="Executing"), "D")


def test_after_a_fail_step_and_over_fifty_steps_the_answer_is_to_clear_run() -> None:
    ended = FAILED.with_steps((*FAILED.steps, StepReport("X", "Fail", "Failed")))
    refused = decide(ended, "B")
    assert refused.move is RepairMove.REFUSE
    assert refused.reason.endswith("Clear the task 'run' of the group instead: it starts a new execution.")

    wide = PipelineShape((StepShape("A", "Callback"), *(StepShape(f"S{n}", "Callback", ("A",)) for n in range(50))))
    found = report("Succeeded", **dict.fromkeys(wide.names, "Succeeded"))
    many = plan_repair(found, "A", seen=mark_step(found, "A"), shape=wide, cleared={"A": found.latest_step("A")})
    assert many.move is RepairMove.REFUSE
    assert "51 steps would have to run again, and SageMaker runs at most 50" in many.reason
    one = plan_repair(found, "S1", seen=mark_step(found, "S1"), shape=wide, cleared={"S1": found.latest_step("S1")})
    assert one.steps == ("S1",)


def entry(number: int, *steps: str, root: int = 0, **more: Any) -> GroupExecution:
    return GroupExecution(ARN.format(number), tuple(steps), root=ARN.format(root), **more)


def test_a_steps_current_execution_is_the_newest_that_has_run_it_and_entries_of_another_run_do_not_count() -> None:
    written = [entry(1, "B", "D"), entry(2, "C", root=9), entry(3, "C", is_refused=True), entry(4, "D")]
    read = parse_executions([one.to_json() for one in written], root=ARN.format(0))
    assert [one.arn for one in read] == [ARN.format(number) for number in (0, 1, 4)]
    assert [find_current(read, step).arn for step in "ABCD"] == [ARN.format(number) for number in (0, 1, 0, 4)]


def test_a_source_has_the_current_results_of_all_that_the_steps_need() -> None:
    first, second = entry(0), entry(1, "B", "D")
    reports = {
        SUCCEEDED.arn: SUCCEEDED,
        ARN.format(1): report("Succeeded", 1, A="Succeeded", B="Succeeded", C="Succeeded", D="Succeeded"),
    }
    assert find_source([first], reports, DIAMOND, ["B", "D"]) == SUCCEEDED.arn
    assert find_source([first, second], reports, DIAMOND, ["D"]) == ARN.format(1)
    # The second execution knows nothing of C; the first one's B is not the current one.
    reports[ARN.format(1)] = report("Succeeded", 1, A="Succeeded", B="Succeeded")
    assert find_source([first, second], reports, DIAMOND, ["D"]) is None
    assert find_source([first, second], reports, DIAMOND, ["C"]) == ARN.format(1)


def test_a_run_is_judged_by_the_newest_execution_of_each_step() -> None:
    mended = report("Succeeded", 1, B="Succeeded", D="Succeeded")
    reports = {FAILED.arn: FAILED, mended.arn: mended}
    whole = merge_reports([entry(0), entry(1, "B", "D")], reports)
    assert (whole.arn, whole.status) == (mended.arn, "Succeeded")
    assert [(step.name, step.status) for step in whole.steps] == [(name, "Succeeded") for name in "ACBD"]

    other = report("Succeeded", 1, C="Succeeded")
    left = merge_reports([entry(0), entry(1, "C")], {FAILED.arn: FAILED, other.arn: other})
    assert (left.arn, left.status) == (FAILED.arn, "Failed")
    assert merge_reports([entry(0)], {FAILED.arn: FAILED}) == FAILED
