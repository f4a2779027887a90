"""What the end of a step, or of its execution without the step, means for the task that mirrors it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.wait_policy import Verdict, render_failure, render_step
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.runs.repair import mark_step

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a mirrored step has ended.

    :param verdict: never to wait.
    :param text: for the log; of a failed or skipped task, the reason.
    :param step: None if it did not run.
    :param mark: what :func:`mark_step` gives.
    """

    verdict: Verdict
    text: str
    step: StepReport | None
    mark: str


def judge_step(report: ExecutionReport, name: str) -> StepEnd:
    """The outcome of a step that has ended, or whose execution has.

    =========================================== ========
    Step                                        Task
    =========================================== ========
    Succeeded, by itself or from the cache      succeeds
    Failed, Stopped                             fails
    did not run, execution Failed or Stopped    fails: it was not reached
    did not run, execution ended otherwise      skips
    =========================================== ========
    """
    step, mark = report.latest_step(name), mark_step(report, name)
    if step is not None and step.is_terminal:
        verdict = Verdict.SUCCEED if step.status == StepStatus.SUCCEEDED else Verdict.FAIL
        return StepEnd(verdict, f"{render_step(step)} (execution {report.arn})", step, mark)
    if report.status in (ExecutionStatus.FAILED, ExecutionStatus.STOPPED):
        text = f"Step '{name}' was not reached. {render_failure(report)}"
        return StepEnd(Verdict.FAIL, text, step, mark)
    text = (
        f"Step '{name}' did not run: its branch was not taken, or it was not selected. Execution {report.arn} ended "
        f"{report.status}."
    )
    return StepEnd(Verdict.SKIP, text, step, mark)


def make_step_xcoms(step: StepReport, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The XComs of a step that has succeeded: its summary and what it yields, as one value and key by key."""
    found: dict[str, Any] = to_json_value({**outputs, **step.summary()})
    return {**found, "return_value": found}
