"""What the end of a step, or of its execution without the step, means for the task that mirrors it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.outputs import to_json_value
from airflow_sm_pipelines.client.wait_policy import Verdict, render_failure, render_step
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.runs.repair import mark_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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


def find_other_outcome(report: ExecutionReport, branches: Iterable[Sequence[Any]]) -> str | None:
    """The Condition step that has decided against a step, as a sentence; None if none has.

    :param branches: as a shape has them: names of Condition steps and the outcomes by which the step runs.
    """

    def find_outcome(condition: str) -> Any:
        step = report.latest_step(condition)
        return (((step.metadata if step else None) or {}).get("Condition") or {}).get("Outcome")

    return find_decision_against(branches, find_outcome)


def find_decision_against(branches: Iterable[Sequence[Any]], find_outcome: Callable[[str], Any]) -> str | None:
    """The same where the outcomes of Condition steps are known otherwise.

    :param find_outcome: the outcome of a Condition step; None while it has none.
    """
    for condition, outcome in branches:
        found = find_outcome(condition)
        if found is not None and str(found).lower() != str(outcome).lower():
            return f"condition '{condition}' was {found}"
    return None


def judge_step(report: ExecutionReport, name: str, *, branches: Iterable[Sequence[Any]] = ()) -> StepEnd:
    """The outcome of a step that has ended, or whose execution has.

    =========================================== ========
    Step                                        Task
    =========================================== ========
    Succeeded, by itself or from the cache      succeeds
    Failed, Stopped                             fails
    did not run, its branch was not taken       skips, as soon as that is known
    did not run, execution Failed or Stopped    fails: it was not reached
    did not run, execution ended otherwise      skips
    =========================================== ========
    """
    step, mark = report.latest_step(name), mark_step(report, name)
    if step is not None and step.is_terminal:
        verdict = Verdict.SUCCEED if step.status == StepStatus.SUCCEEDED else Verdict.FAIL
        return StepEnd(verdict, f"{render_step(step)} (execution {report.arn})", step, mark)
    if (reason := find_other_outcome(report, branches)) is not None:
        text = f"Step '{name}' did not run: {reason}, so its branch was not taken (execution {report.arn})."
        return StepEnd(Verdict.SKIP, text, step, mark)
    if report.status in (ExecutionStatus.FAILED, ExecutionStatus.STOPPED):
        text = f"Step '{name}' was not reached. {render_failure(report)}"
        return StepEnd(Verdict.FAIL, text, step, mark)
    text = f"Step '{name}' did not run: it was not selected, or waits for a step that did not run. "
    text += f"Execution {report.arn} ended {report.status}."
    return StepEnd(Verdict.SKIP, text, step, mark)


def make_step_xcoms(step: StepReport, outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The XComs of a step that has succeeded: its summary and what it yields, as one value and key by key."""
    found: dict[str, Any] = to_json_value({**outputs, **step.summary()})
    return {**found, "return_value": found}
