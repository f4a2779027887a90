"""What a cleared task of a step asks of SageMaker: to resume its execution, to run it again from there, or nothing.

A group of tasks mirrors one run of a pipeline. The run begins with the execution that the group has started; each later
one runs selected steps again. So a step's current execution is the newest one that has run it. Pure.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.request_tokens import make_token
from airflow_sm_pipelines.definition.problems import list_names
from airflow_sm_pipelines.definition.status import ExecutionStatus, StepStatus
from airflow_sm_pipelines.runs.submission import is_resumable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.definition.shape import PipelineShape

MAX_SELECTED_STEPS = 50
"""Source: the API's ``SelectedStepList`` shape."""

CLEAR_RUN = "Clear the task 'run' of the group instead: it starts a new execution."
"""What a refused repair tells the user to do."""


@dataclass(frozen=True, slots=True)
class GroupExecution:
    """One execution of a group's run.

    :param arn: None until the service has answered the start call.
    :param steps: the steps that were selected; empty for the first execution, which runs the pipeline.
    :param source: the execution whose results the selected steps use.
    :param token: the start call's.
    :param root: the run's first execution. An entry from before a clear of ``run`` has another, and does not count.
    :param began: when it was begun, ISO 8601; the group's time-out starts there.
    :param is_refused: whether the service has refused the start call, so that it does not exist.
    """

    arn: str | None
    steps: tuple[str, ...] = ()
    source: str | None = None
    token: str = ""
    root: str | None = None
    began: str | None = None
    is_refused: bool = False

    def has_run(self, step: str) -> bool:
        """Whether it runs this step itself, and does not take over its result."""
        return not self.steps or step in self.steps

    def to_json(self) -> dict[str, Any]:
        """The entry as JSON."""
        return {**asdict(self), "steps": list(self.steps)}


def parse_executions(value: Any, *, root: str) -> tuple[GroupExecution, ...]:
    """The executions of a run, oldest first, from what :meth:`GroupExecution.to_json` wrote of the repairs.

    :param root: the first execution, which starts the list.
    """
    repairs = [GroupExecution(**{**one, "steps": tuple(one["steps"])}) for one in value or ()]
    return (GroupExecution(root, root=root), *(one for one in repairs if one.root == root and not one.is_refused))


def find_current(executions: Sequence[GroupExecution], step: str) -> GroupExecution:
    """The newest execution that has run a step."""
    return next(one for one in reversed(executions) if one.has_run(step))


class RepairMove(str, Enum):
    """What a cleared step's task does."""

    MIRROR = "mirror the execution"
    WAIT = "wait for the execution's end"
    RESUME = "resume the execution"
    SELECT = "run it again from there"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Repair:
    """The decision for one cleared step.

    :param steps: for :attr:`RepairMove.SELECT`, the steps to run, in an order in which they may run.
    :param reason: for :attr:`RepairMove.REFUSE`, why, and what to do instead.
    """

    move: RepairMove
    steps: tuple[str, ...] = ()
    reason: str = ""


def mark_step(report: ExecutionReport, name: str) -> str:
    """A text that is another one whenever the step has run again, or waits for another end of the execution."""
    step = report.latest_step(name)
    if step is not None:
        return "|".join(str(one) for one in (step.status, step.start_time, step.end_time, step.job_arn))
    return f"not run|{report.status}|{mark_end(report)}"


def mark_end(report: ExecutionReport) -> str:
    """A text that is another one whenever the execution has failed or was stopped again."""
    return make_token(
        report.arn,
        *(
            f"{step.name}|{step.iteration}|{step.status}|{step.start_time}|{step.end_time}|{step.attempts}"
            for step in report.steps
            if step.status in (StepStatus.FAILED, StepStatus.STOPPED)
        ),
    )


def make_resume_token(report: ExecutionReport) -> str:
    """The token of the resume of an ended execution: the same for all steps that are cleared after this end."""
    return make_token("resume", mark_end(report))


def make_select_token(source: str, steps: Iterable[str]) -> str:
    """The token of an execution of selected steps: the same for all steps that are cleared together."""
    return make_token("select", source, *sorted(steps))


def plan_repair(
    report: ExecutionReport,
    step: str,
    *,
    seen: str | None,
    shape: PipelineShape,
    cleared: Mapping[str, StepReport | None],
) -> Repair:
    """Decide what a cleared task does about its step.

    :param report: the step's current execution now.
    :param seen: the mark of the end that the task's last attempt has shown; None where it has shown none, as that of a
        step that was still running when it was cleared.
    :param cleared: what the cleared steps of the group, this one among them, are now; None for one that did not run.
    """
    if seen is None or mark_step(report, step) != seen:
        return Repair(RepairMove.MIRROR)
    now = report.latest_step(step)
    if not report.is_terminal:
        return Repair(RepairMove.WAIT)
    status = ExecutionStatus(report.status)
    has_failed = status in (ExecutionStatus.FAILED, ExecutionStatus.STOPPED)
    if now is None and not has_failed:
        return Repair(RepairMove.MIRROR)
    is_again = any(one is not None and one.status == StepStatus.SUCCEEDED for one in cleared.values())
    if has_failed and not is_again:
        if not is_resumable(report):
            return Repair(
                RepairMove.REFUSE,
                reason=f"A Fail step ended execution {report.arn}, which cannot be resumed. {CLEAR_RUN}",
            )
        return Repair(RepairMove.RESUME)
    return plan_steps(shape, cleared, {one.name: one for one in report.steps}, has_failed=has_failed)


def plan_steps(
    shape: PipelineShape, cleared: Iterable[str], now: Mapping[str, StepReport], *, has_failed: bool
) -> Repair:
    """Choose the steps to run again: the cleared ones, all that wait for them, and what of their needs has failed.

    :param now: the steps of the source, by name, as they are.
    :param has_failed: whether the source failed or was stopped, so that steps without a result were never reached.
    """
    chosen = set(shape.downstream(set(cleared)))
    while missing := {one for one in shape.needs(chosen) if not _has_succeeded(now.get(one))}:
        again = {one for one in missing if has_failed or now.get(one) is not None}
        if again:
            chosen |= shape.downstream(again)
            continue
        # They did not run, because their branch was not taken; what waits for them does not run either.
        chosen -= {one.name for one in shape.steps if not missing.isdisjoint(one.waits_for)}
    steps = tuple(name for name in shape.names if name in chosen)
    if len(steps) > MAX_SELECTED_STEPS:
        return Repair(
            RepairMove.REFUSE,
            reason=f"{len(steps)} steps would have to run again, and SageMaker runs at most {MAX_SELECTED_STEPS} "
            f"selected ones. {CLEAR_RUN}",
        )
    if not steps:
        return Repair(
            RepairMove.REFUSE,
            reason=f"Steps {list_names(cleared)} need steps that did not run. {CLEAR_RUN}",
        )
    return Repair(RepairMove.SELECT, steps)


def _has_succeeded(step: StepReport | None) -> bool:
    return step is not None and step.status == StepStatus.SUCCEEDED


def find_source(
    executions: Sequence[GroupExecution],
    reports: Mapping[str, ExecutionReport],
    shape: PipelineShape,
    steps: Iterable[str],
) -> str | None:
    """The newest execution whose results are the current ones of all steps that a selection needs; None for none.

    :param reports: of each execution of the run, by ARN.
    """
    chosen = set(steps)
    needs = set(shape.needs(chosen))
    all_needs = set(needs)
    while more := set(shape.needs(all_needs)) - all_needs - chosen:
        all_needs |= more
    ran_since: set[str] = set()
    for one in reversed(executions):
        report = reports.get(str(one.arn))
        if report is None:
            continue
        has_all = all(_has_succeeded(report.latest_step(name)) for name in needs)
        if has_all and ran_since.isdisjoint(all_needs):
            return report.arn
        ran_since |= set(one.steps)
    return None


def merge_steps(executions: Sequence[GroupExecution], reports: Mapping[str, ExecutionReport]) -> tuple[StepReport, ...]:
    """The steps of a run, each as its current execution has it, in the order they started."""
    found: list[StepReport] = []
    for index, one in enumerate(executions):
        later = executions[index + 1 :]
        report = reports.get(str(one.arn))
        for step in report.steps if report is not None else ():
            stem = step.name if step.iteration is None else step.name.removesuffix(f"-{step.iteration}")
            names = (step.name, stem)
            is_own = not one.steps or any(name in one.steps for name in names) or step.iteration is not None
            if is_own and not any(name in other.steps for other in later for name in names):
                found.append(step)
    return tuple(found)


def merge_reports(executions: Sequence[GroupExecution], reports: Mapping[str, ExecutionReport]) -> ExecutionReport:
    """The run as one report: the newest execution's, or that of an older one whose failure nothing has mended.

    :param reports: of each execution, ended.
    """
    steps = merge_steps(executions, reports)
    known = [reports[str(one.arn)] for one in executions if str(one.arn) in reports]
    failed = {step.name for step in steps if step.status in (StepStatus.FAILED, StepStatus.STOPPED)}
    for report in reversed(known):
        own = {step.name for step in report.steps if step.status in (StepStatus.FAILED, StepStatus.STOPPED)}
        is_current = report is known[-1] or not own.isdisjoint(failed)
        if is_current and report.status != ExecutionStatus.SUCCEEDED:
            return report.with_steps(steps)
    return known[-1].with_steps(steps)
