"""The one wait policy: what each execution status means for the task, what to log, and when to look again.

Pure. The synchronous operator, the trigger and the sensors share it; they differ only in who sleeps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal

from airflow_sm_pipelines.client.choices import check_choice
from airflow_sm_pipelines.definition.status import ExecutionStatus
from airflow_sm_pipelines.exceptions import PipelineAccessError, PipelineUnavailableError
from airflow_sm_pipelines.printable_text import clean, clean_log_text

if TYPE_CHECKING:
    from airflow_sm_pipelines.client.reports import ExecutionReport, StepReport
    from airflow_sm_pipelines.exceptions import PipelineApiError

Outcome = Literal["fail", "succeed", "skip"]
"""What the task does after an execution that was stopped, or that ended although a step failed."""


class Verdict(str, Enum):
    """What a status means for the task that waits."""

    WAIT = "wait"
    SUCCEED = "succeed"
    FAIL = "fail"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class WaitPolicy:
    """What the task does after the two kinds of end that authors judge differently.

    :param on_stopped: ``"fail"``, ``"succeed"`` or ``"skip"`` when somebody stopped the execution.
    :param on_completed_with_failures: the same for an execution that ended although some step failed, because
        another step was declared to run after that failure.
    """

    on_stopped: Outcome = "fail"
    on_completed_with_failures: Outcome = "fail"

    def __post_init__(self) -> None:
        """Refuse an outcome that is not one of the three.

        :raises ArgumentError: naming the argument and the outcomes there are.
        """
        check_choice("on_stopped", self.on_stopped, Outcome)
        check_choice("on_completed_with_failures", self.on_completed_with_failures, Outcome)

    def verdict(self, status: str) -> Verdict:
        """What the status means for the task. On a status that this release does not know, the task waits on.

        ==================== =========================================
        Executing, Stopping  wait
        Succeeded            succeed
        Failed               fail
        Stopped              ``on_stopped``
        CompletedWithFailures ``on_completed_with_failures``
        ==================== =========================================
        """
        if status == ExecutionStatus.SUCCEEDED:
            return Verdict.SUCCEED
        if status == ExecutionStatus.FAILED:
            return Verdict.FAIL
        if status == ExecutionStatus.STOPPED:
            return Verdict(self.on_stopped)
        if status == ExecutionStatus.COMPLETED_WITH_FAILURES:
            return Verdict(self.on_completed_with_failures)
        return Verdict.WAIT


class ProgressLog:
    """Turns successive looks at one execution into log lines: each transition of a step once."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, int | None], tuple[str, int | None]] | None = None
        self._status: str | None = None

    def lines(self, report: ExecutionReport) -> list[str]:
        """What is new since the last look.

        The first look puts the steps that had already ended into one line, so that a resumed wait repeats little.
        """
        found: list[str] = []
        first = self._seen is None
        seen = self._seen or {}
        now = {(step.name, step.iteration): (str(step.status), step.attempts) for step in report.steps}
        ended = [step for step in report.steps if step.is_terminal] if first else []
        if ended:
            found.append("Already ended: " + "; ".join(render_step(step) for step in ended))
        for step in report.steps:
            key = (step.name, step.iteration)
            if seen.get(key) != now[key] and step not in ended:
                found.append(render_step(step))
        if report.status != self._status:
            found.append(f"Execution {report.arn}: {report.status}")
            if not report.is_known:
                found.append(f"This release does not know the execution status '{report.status}': waiting on.")
        self._seen, self._status = now, report.status
        return found


def render_step(step: StepReport) -> str:
    """One step as one line: name, type, status, duration, attempt, cache, and the reason where it failed."""
    text = f"Step '{step.name}'" + (f" ({step.type})" if step.type else "") + f" {step.status}"
    if step.iteration is not None:
        text += f", iteration {step.iteration}"
    if step.is_terminal and step.seconds is not None:
        text += f" after {step.seconds:.1f} s"
    if step.attempts is not None and step.attempts > 1:
        text += f", attempt {step.attempts}"
    if step.cached_from:
        text += ", from cache"
    if step.failure_reason:
        text += f": {clean_log_text(step.failure_reason)}"
    return clean(text)


def render_failure(report: ExecutionReport, *, log_tails: Mapping[str, tuple[str, list[str]]] | None = None) -> str:
    """The text of the exception for an execution that counts as failed.

    :param report: the execution at its end.
    :param log_tails: by step name, the log group and the last lines of the step's job.
    """
    head = f"Pipeline '{report.pipeline_name}' execution {report.arn} ended {report.status}"
    lines = [f"{head}: {clean_log_text(report.failure_reason)}" if report.failure_reason else f"{head}."]
    lines += [f"  {render_step(step)}" for step in report.failed_steps]
    if not report.failed_steps and report.status == ExecutionStatus.STOPPED:
        stopped = [step.name for step in report.steps if step.status == "Stopped"]
        lines.append(f"  Stopped in: {', '.join(stopped)}." if stopped else "  It was stopped before any step ended.")
    for name, (group, tail) in (log_tails or {}).items():
        lines.append(f"  Last lines of step '{name}' ({group}):")
        lines += [f"    {clean_log_text(line)}" for line in tail]
    return clean("\n".join(lines))


def plan_delay(*, elapsed_seconds: float, waiter_delay: float) -> float:
    """Seconds until the next look: a tenth of the time already waited, at least one, at most ``waiter_delay``.

    Short executions are noticed within a second; long ones settle at the author's interval.
    """
    return min(max(1.0, elapsed_seconds / 10), max(waiter_delay, 0.1))


def plan_backoff(*, failures: int, waiter_delay: float) -> float:
    """Seconds to wait after refused looks in a row: doubling, up to a minute or twice ``waiter_delay``.

    :param failures: how many looks in a row were refused.
    """
    return float(min(2.0 ** min(failures, 10), max(60.0, 2 * waiter_delay)))


@dataclass(slots=True)
class RefusedLooks:
    """The refusals since the last look that was answered, and whether a wait may bear another one.

    Throttling, expired credentials and a wrong clock pass. So may a denied access, but only where an earlier look of
    the same wait was answered: a caller who never had the right to look will not get it by waiting.

    :param max_seconds: how long refusals are borne.
    :param since: when the first of them was, in seconds; None where the last look was answered.
    :param was_answered: whether any look was answered.
    """

    max_seconds: float
    since: float | None = None
    was_answered: bool = False

    def record_answer(self) -> None:
        """Note a look that was answered."""
        self.since, self.was_answered = None, True

    def can_pass(self, error: PipelineApiError) -> bool:
        """Whether looking again may help."""
        return is_passing_refusal(error, was_answered=self.was_answered)

    def record_refusal(self, error: PipelineApiError, *, now: float) -> str | None:
        """Note a look that was refused; gives the reason to end the wait, once it has been refused for too long.

        :param now: seconds on the clock of this wait.
        """
        self.since = now if self.since is None else self.since
        seconds = now - self.since
        return render_refused(error, seconds=seconds) if seconds >= self.max_seconds else None


def is_passing_refusal(error: PipelineApiError, *, was_answered: bool) -> bool:
    """Whether a refused look may be answered later.

    :param was_answered: whether an earlier look of the same wait was.
    """
    return isinstance(error, PipelineUnavailableError) or (was_answered and isinstance(error, PipelineAccessError))


def render_refused(error: PipelineApiError, *, seconds: float) -> str:
    """Why a wait ends whose looks were refused for too long."""
    return (
        f"{error} Each look was refused for {format_duration(seconds)}, so the wait ends (max_refused_seconds); the "
        "execution may still be running."
    )


def format_duration(seconds: float) -> str:
    """A length of time for a message: ``45 s``, ``15 minutes``."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def parse_event(event: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The kind (``"ended"``, ``"timeout"`` or ``"error"``) and the payload of a trigger's event.

    :raises ValueError: if it is not an event of this package's trigger.
    """
    kind = event.get("kind") if isinstance(event, Mapping) else None
    if kind not in ("ended", "timeout", "error"):
        raise ValueError(f"Not an event of SageMakerPipelineExecutionTrigger: {event!r}")
    return str(kind), event
