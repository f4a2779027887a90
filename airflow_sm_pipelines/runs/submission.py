"""Exactly one execution per intention: what is remembered about a start, and what a new attempt does with it.

The record is written before the start call, with the token and the request, and again with the ARN. Whatever happens
between the two, the next attempt repeats the same token with the same request, and SageMaker answers with the same
execution. Pure, except for :class:`SubmissionStore`, which talks to Airflow's task state store.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.request_tokens import make_token
from airflow_sm_pipelines.client.wait_policy import Verdict
from airflow_sm_pipelines.definition.status import ExecutionStatus

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.client.wait_policy import WaitPolicy

RETRY_CHOICES = ("resume", "restart", "fail")
STATE_KEY = "sagemaker_pipeline_submission"
"""The key in the task state store; the UI shows it under the task instance's *Storage* tab."""


@dataclass(frozen=True, slots=True)
class TaskIdentity:
    """What makes a task instance this one, across attempts.

    :param run_start: when the DAG run began; tells a deleted and repeated run from the first.
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


@dataclass(frozen=True, slots=True)
class Submission:
    """One start of an execution, as it is remembered.

    :param number: counts the starts of this task instance, from 1.
    :param token: the start call's ``ClientRequestToken``.
    :param request: the start call's other arguments, so that they can be repeated word for word.
    :param execution_arn: None until the service has answered.
    :param is_refused: whether the service refused the call, so that it started nothing.
    :param resumes: how often ``RetryPipelineExecution`` was called for it.
    :param max_tries: of the task instance when it was started.
    :param clear_number: of the DAG run when it was started.
    """

    number: int
    token: str
    request: dict[str, Any]
    execution_arn: str | None
    resumes: int
    max_tries: int
    clear_number: int
    is_refused: bool = False

    @property
    def resume_token(self) -> str:
        """The token of the latest resume."""
        return make_token("resume", self.token, self.resumes)

    def with_arn(self, arn: str) -> Submission:
        """The same submission, answered."""
        return replace(self, execution_arn=arn)

    def with_refusal(self) -> Submission:
        """The same submission, refused: its number is used up, and nothing runs."""
        return replace(self, is_refused=True)

    def with_generation(self, identity: TaskIdentity) -> Submission:
        """The same submission, taken over by a cleared task instance."""
        return replace(self, max_tries=identity.max_tries, clear_number=identity.clear_number)

    def with_resume(self) -> Submission:
        """The same submission, about to be resumed once more."""
        return replace(self, resumes=self.resumes + 1)

    def to_json(self) -> dict[str, Any]:
        """The submission as JSON."""
        return asdict(self)


class Move(str, Enum):
    """What a new attempt does about an earlier attempt's execution."""

    ATTACH = "attach"
    RESUME = "resume"
    RESTART = "restart"
    STOP_AND_RESTART = "stop and restart"
    AWAIT_STOP_AND_RESUME = "await stop and resume"
    FAIL = "fail"


def make_submission(identity: TaskIdentity, *, number: int, request: Mapping[str, Any]) -> Submission:
    """A submission that has not been sent: the token follows from the task instance and the number alone."""
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
    """Whether somebody cleared this task instance since, as opposed to Airflow retrying it.

    A clear sets ``max_tries`` anew, a retry does not (Airflow 3.3: ``clear_task_instances``).
    """
    return identity.max_tries != last.max_tries


def plan_move(
    *, identity: TaskIdentity, last: Submission, report: ExecutionReport, policy: WaitPolicy, on_retry: str
) -> Move:
    """What to do about the execution of an earlier attempt.

    Clearing a task that is running changes only the DAG run's clear number, as does clearing any other task; then a
    live or successful execution is taken on, and only an unsuccessful one is started anew.
    """
    if is_cleared(identity, last):
        return Move.RESTART if report.is_terminal else Move.STOP_AND_RESTART
    verdict = policy.verdict(report.status)
    maybe_cleared = identity.clear_number != last.clear_number
    if report.status == ExecutionStatus.STOPPING and policy.verdict(ExecutionStatus.STOPPED) is Verdict.FAIL:
        if maybe_cleared or on_retry == "restart":
            return Move.RESTART
        return Move.AWAIT_STOP_AND_RESUME if on_retry == "resume" else Move.ATTACH
    if verdict is not Verdict.FAIL:
        return Move.ATTACH
    if maybe_cleared:
        return Move.RESTART
    return {"resume": Move.RESUME, "restart": Move.RESTART, "fail": Move.FAIL}[on_retry]


def is_resumable(report: ExecutionReport) -> bool:
    """Whether ``RetryPipelineExecution`` can take it up: not after a Fail step (developer guide, "Fail step")."""
    return not any(step.type == "Fail" and step.is_failed for step in report.steps)


class SubmissionStore:
    """The task instance's last submission, in Airflow's task state store (3.3 and later).

    :param accessor: ``context["task_state_store"]``; None where Airflow has none.
    """

    def __init__(self, accessor: Any) -> None:
        """Wrap the accessor."""
        self._accessor = accessor

    @property
    def is_durable(self) -> bool:
        """Whether anything survives this attempt."""
        return self._accessor is not None

    def load(self) -> Submission | None:
        """The last submission of this task instance in this DAG run, whichever attempt made it."""
        value = None if self._accessor is None else self._accessor.get(STATE_KEY)
        return None if not isinstance(value, dict) else Submission(**value)

    def save(self, submission: Submission) -> None:
        """Remember a submission; returns once Airflow has it."""
        if self._accessor is not None:
            self._accessor.set(STATE_KEY, submission.to_json())


def parse_identity(context: Mapping[str, Any]) -> TaskIdentity:
    """The identity of the running task instance."""
    ti, dag_run = context["ti"], context["dag_run"]
    start = getattr(dag_run, "start_date", None) or getattr(dag_run, "run_after", None)
    return TaskIdentity(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=-1 if ti.map_index is None else ti.map_index,
        run_start="" if start is None else start.isoformat(),
        max_tries=getattr(ti, "max_tries", 0) or 0,
        clear_number=getattr(dag_run, "clear_number", 0) or 0,
        try_number=ti.try_number,
    )
