"""Exactly one execution for each task instance: what a task remembers of its start call, and what a new attempt does.

The record is written before the start call, with the token and the request, and again afterwards, with the ARN.
Whatever happens between the two, the next attempt repeats the same request with the same token, and SageMaker answers
with the same execution. Pure.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from airflow_sm_pipelines.client.request_tokens import make_token
from airflow_sm_pipelines.client.wait_policy import Verdict
from airflow_sm_pipelines.definition.status import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.client.wait_policy import WaitPolicy

RetryChoice = Literal["resume", "restart", "fail"]
"""What a retry of the task does about a failed execution."""

ClearChoice = Literal["restart", "resume"]
"""What a cleared task does about the execution that it had before."""


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """A task instance of Airflow, and how often it was tried and cleared.

    :param map_index: of a mapped task; -1 for others.
    :param run_start: when the DAG run began: a run that was deleted and repeated differs in it from the first.
    :param max_tries: raised by a clear, never by a retry.
    :param clear_number: raised by a clear of any task of the DAG run.
    :param try_number: this attempt, from 1.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    run_start: str
    max_tries: int
    clear_number: int
    try_number: int

    @property
    def display_name(self) -> str:
        """What an execution of this task instance is called, as far as SageMaker takes the name."""
        return f"{self.dag_id}-{self.task_id}{self._index}-{self.run_id}"

    @property
    def description(self) -> str:
        """Who started an execution of this task instance."""
        return f"Started by Airflow: DAG {self.dag_id}, run {self.run_id}, task {self.task_id}{self._index}"

    @property
    def _index(self) -> str:
        return f"-{self.map_index}" if self.map_index >= 0 else ""


@dataclass(frozen=True, slots=True)
class Submission:
    """One start of an execution, as a task remembers it.

    :param number: counts the starts of this task instance, from 1.
    :param token: the start call's ``ClientRequestToken``.
    :param request: the start call's other arguments, so that the call can be repeated.
    :param execution_arn: None until the service has answered.
    :param is_refused: whether the service refused the call, so that it started nothing.
    :param resumes: how many ``RetryPipelineExecution`` calls were made for it.
    :param max_tries: of the task instance when it was started.
    :param clear_number: of the DAG run when it was started, or when a later attempt went on with it.
    :param failed_try: the last attempt that ended with an error of its own; 0 for none. An attempt that a clear has
        ended leaves no such mark.
    :param is_cleared: whether somebody has cleared the task since, while this was its last submission. Airflow's side
        notes it beside the submission; on_clear="resume" needs no note.
    """

    number: int
    token: str
    request: dict[str, Any]
    execution_arn: str | None
    resumes: int
    max_tries: int
    clear_number: int
    is_refused: bool = False
    failed_try: int = 0
    is_cleared: bool = False

    @property
    def resume_token(self) -> str:
        """The token of the latest resume."""
        return make_token("resume", self.token, self.resumes)

    def with_arn(self, arn: str) -> Submission:
        """The same submission with the ARN that the service answered."""
        return replace(self, execution_arn=arn)

    def with_refusal(self) -> Submission:
        """The same submission, refused: its number is used up, and nothing runs."""
        return replace(self, is_refused=True)

    def with_generation(self, identity: TaskIdentity) -> Submission:
        """The same submission, taken over by a cleared task instance."""
        return replace(self, max_tries=identity.max_tries, clear_number=identity.clear_number)

    def with_failed_try(self, try_number: int) -> Submission:
        """The same submission, marked by an attempt that ends with an error of its own."""
        return replace(self, failed_try=try_number)

    def with_resume(self) -> Submission:
        """The same submission, about to be resumed once more."""
        return replace(self, resumes=self.resumes + 1)

    def to_json(self) -> dict[str, Any]:
        """The submission as JSON, without what is noted elsewhere."""
        return {name: value for name, value in asdict(self).items() if name != "is_cleared"}


class Move(str, Enum):
    """What a new attempt does with an earlier attempt's execution."""

    ATTACH = "attach"
    RESUME = "resume"
    RESTART = "restart"
    STOP_AND_RESTART = "stop and restart"
    AWAIT_STOP_AND_RESUME = "await stop and resume"
    FAIL = "fail"


def make_submission(identity: TaskIdentity, *, number: int, request: Mapping[str, Any]) -> Submission:
    """A submission that has not been sent; its token is made from the task instance and the number alone."""
    token = make_token(
        "start",
        identity.dag_id,
        identity.run_id,
        identity.run_start,
        identity.task_id,
        identity.map_index,
        identity.max_tries,
        number,
    )
    return Submission(
        number=number,
        token=token,
        request=dict(request),
        execution_arn=None,
        resumes=0,
        max_tries=identity.max_tries,
        clear_number=identity.clear_number,
    )


def is_cleared(identity: TaskIdentity, last: Submission) -> bool:
    """Whether somebody has cleared this task instance since its last start; a retry is no clear.

    A clear sets ``max_tries`` anew, unless the task was running; a retry does not (Airflow 3.3:
    ``clear_task_instances``).
    """
    return last.is_cleared or identity.max_tries != last.max_tries


def plan_move(
    *,
    identity: TaskIdentity,
    last: Submission,
    report: ExecutionReport,
    policy: WaitPolicy,
    on_retry: RetryChoice,
    on_clear: ClearChoice = "restart",
) -> Move:
    """Decide what to do with the execution of an earlier attempt.

    The DAG run's clear number rises when this task is cleared while it runs, and also when any other task of the run
    is cleared. An attempt that failed by itself has left its mark, so after it this is a retry. Without the mark, a
    running or successful execution is kept, and an unsuccessful one is replaced by a new one.
    """
    is_retry = last.failed_try == identity.try_number - 1 > 0
    maybe_cleared = identity.clear_number != last.clear_number and not is_retry
    if on_clear == "resume" and (maybe_cleared or is_cleared(identity, last)):
        return _plan_resume(report, policy)
    if is_cleared(identity, last):
        return Move.RESTART if report.is_terminal else Move.STOP_AND_RESTART
    verdict = policy.verdict(report.status)
    if report.status == ExecutionStatus.STOPPING and policy.verdict(ExecutionStatus.STOPPED) is Verdict.FAIL:
        if maybe_cleared or on_retry == "restart":
            return Move.RESTART
        return Move.AWAIT_STOP_AND_RESUME if on_retry == "resume" else Move.ATTACH
    if verdict is not Verdict.FAIL:
        return Move.ATTACH
    if maybe_cleared:
        return Move.RESTART
    return {"resume": Move.RESUME, "restart": Move.RESTART, "fail": Move.FAIL}[on_retry]


def _plan_resume(report: ExecutionReport, policy: WaitPolicy) -> Move:
    """What a cleared task does that goes on with its earlier execution."""
    if report.status == ExecutionStatus.STOPPING:
        return Move.AWAIT_STOP_AND_RESUME
    if policy.verdict(report.status) is Verdict.FAIL:
        return Move.RESUME if is_resumable(report) else Move.RESTART
    return Move.ATTACH


def is_resumable(report: ExecutionReport) -> bool:
    """Whether ``RetryPipelineExecution`` can resume it: not after a Fail step (developer guide, "Fail step")."""
    return not any(step.type == "Fail" and step.is_failed for step in report.steps)


class SubmissionStore(Protocol):
    """Remembers a task instance's last submission."""

    @property
    def is_durable(self) -> bool:
        """Whether anything survives this attempt."""

    def load_submission(self) -> Submission | None:
        """The last submission of this task instance in this DAG run, whichever attempt made it."""

    def save_submission(self, submission: Submission) -> None:
        """Remember a submission; returns once it is safe."""
