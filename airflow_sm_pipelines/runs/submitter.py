"""Gives a task instance its execution: starts one, waits for the one there is, resumes it, or replaces it.

:mod:`airflow_sm_pipelines.runs.submission` holds the rules; here are the calls.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.request_tokens import make_stop_token, make_token
from airflow_sm_pipelines.client.wait_policy import render_failure
from airflow_sm_pipelines.exceptions import (
    PipelineApiError,
    PipelineConflictError,
    PipelineExecutionFailedError,
    PipelineNotFoundError,
    PipelineRequestError,
    PipelineUnavailableError,
)
from airflow_sm_pipelines.runs.start_request import await_alias, describe_recent_starts
from airflow_sm_pipelines.runs.submission import (
    Move,
    Submission,
    is_cleared,
    is_resumable,
    make_submission,
    plan_move,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger
    from airflow_sm_pipelines.client.reports import ExecutionReport
    from airflow_sm_pipelines.client.wait_policy import WaitPolicy
    from airflow_sm_pipelines.runs.submission import ClearChoice, RetryChoice, SubmissionStore, TaskIdentity

START_PAUSES = (2.0, 5.0)
"""Seconds before a start call without a clear answer is made again, once for each entry."""

REFUSAL_CODES = ("ThrottlingException", "Throttling", "TooManyRequestsException", "ExpiredTokenException", "ClockSkew")
"""Codes of errors after which nothing was started, though the same call may succeed later."""

_STOP_TIMEOUT_SECONDS = 900.0
_RESUME_TIMEOUT_SECONDS = 10.0


def start_once(calls: SageMakerCalls, request: Mapping[str, Any], *, token: str, log: Logger) -> str:
    """Start an execution, and give its ARN; ask again with the same token while it is not known whether it started.

    :param request: ``StartPipelineExecution``'s input without the token.
    :raises PipelineUnavailableError: if that stays unknown; the message lists the newest executions.
    """
    is_refused = True
    for pause in (*START_PAUSES, None):
        try:
            return await_alias(request.get("PipelineVersionAlias"), lambda: calls.start_execution(request, token=token))
        except PipelineUnavailableError as error:
            is_refused = is_refused and error.code in REFUSAL_CODES
            if pause is None:
                if is_refused:
                    raise
                text = f"{error} {describe_recent_starts(calls, request)}"
                raise PipelineUnavailableError(text, code=error.code) from error
            log.warning("%s Asking again with the same token.", error)
            time.sleep(pause)
    raise AssertionError("unreachable")


class ExecutionSubmitter:
    """Gives a task instance its execution; starts one only if no earlier attempt has left one to go on with.

    :param calls: the connection to call through.
    :param store: where the last submission is remembered.
    :param identity: the task instance.
    :param policy: what counts as failed.
    :param on_retry: ``"resume"``, ``"restart"`` or ``"fail"``: what a retry does about a failed execution.
    :param on_clear: ``"restart"`` or ``"resume"``: what a cleared task does about its earlier execution.
    :param check_wanted: called before each call that starts or resumes an execution, when the submission is stored;
        raises if somebody has ended the task by now.
    :param log: receives every decision.
    """

    def __init__(
        self,
        calls: SageMakerCalls,
        *,
        store: SubmissionStore,
        identity: TaskIdentity,
        policy: WaitPolicy,
        on_retry: RetryChoice,
        on_clear: ClearChoice = "restart",
        check_wanted: Callable[[], None] = lambda: None,
        log: Logger,
    ) -> None:
        self._calls = calls
        self._store = store
        self._identity = identity
        self._policy = policy
        self._on_retry = on_retry
        self._on_clear = on_clear
        self._check_wanted = check_wanted
        self._log = log

    def submit(self, request: Mapping[str, Any]) -> str:
        """The ARN of the one execution that this task instance should wait for.

        :param request: ``StartPipelineExecution``'s input without the token.
        :raises PipelineExecutionFailedError: final, if the earlier execution failed and is not to be taken up again.
        """
        last = self._store.load_submission()
        if last is None and not self._store.is_durable:
            self._log.info(
                "This Airflow has no task state store (3.3 has): only the start call's token guards against a "
                "second execution."
            )
            if self._identity.try_number > 1:
                last = make_submission(self._identity, number=1, request=request)
        if last is None:
            return self._start(make_submission(self._identity, number=1, request=request))
        if last.is_refused:
            return self._start(self._next(last, request))
        if last.execution_arn is None:
            settled = self._settle(last, request)
            if settled is None:
                return self._start(self._next(last, request))
            last = settled
        return self._go_on(last, request)

    def _go_on(self, last: Submission, request: Mapping[str, Any]) -> str:
        arn = str(last.execution_arn)
        try:
            report = self._calls.describe_report(arn)
        except PipelineNotFoundError:
            self._log.warning("The earlier execution %s is gone; starting another.", arn)
            return self._start(self._next(last, request))
        move = plan_move(
            identity=self._identity,
            last=last,
            report=report,
            policy=self._policy,
            on_retry=self._on_retry,
            on_clear=self._on_clear,
        )
        self._log.info("An earlier attempt started %s, now %s: %s.", arn, report.status, move.value)
        if move in (Move.ATTACH, Move.RESUME, Move.AWAIT_STOP_AND_RESUME):
            last = self._take_over(last)
        if move is Move.ATTACH:
            return arn
        if move is Move.FAIL:
            raise PipelineExecutionFailedError(
                f"{render_failure(report)}\nNot retried: on_retry='fail'.", is_final=True
            )
        if move is Move.AWAIT_STOP_AND_RESUME:
            report = self._await_end(report)
            if self._policy.verdict(report.status).value != "fail":
                return arn
            move = Move.RESUME
        if move is Move.RESUME:
            return self._resume(last, report, request)
        if move is Move.STOP_AND_RESTART:
            self._stop(arn)
        return self._start(self._next(last, request))

    def _take_over(self, last: Submission) -> Submission:
        """Count the clears until now as answered, so that later attempts do not take them for new ones."""
        taken = last.with_generation(self._identity)
        if taken != last:
            self._store.save_submission(taken)
        return taken

    def _settle(self, last: Submission, request: Mapping[str, Any]) -> Submission | None:
        """Repeat a start call whose answer was lost, to learn its execution; None if it started nothing."""
        self._log.info("An earlier attempt ended during its start call; repeating the call with the same token.")
        try:
            arn = self._call_start(last)
        except PipelineUnavailableError:
            raise
        except PipelineApiError as error:
            self._log.info("The service refuses that call, so it started nothing: %s", error)
            return None
        answered = last.with_arn(arn)
        is_same = last.request == dict(request)
        is_new = is_cleared(self._identity, last) and not last.is_cleared and is_same
        if is_new and not self._calls.describe_execution(arn).is_terminal:
            # The clear asked for a new execution, and nobody has waited for this one yet, nor will anybody stop it.
            answered = answered.with_generation(self._identity)
        self._store.save_submission(answered)
        return answered

    def _call_start(self, submission: Submission) -> str:
        return start_once(self._calls, submission.request, token=submission.token, log=self._log)

    def _start(self, submission: Submission) -> str:
        self._store.save_submission(submission)
        self._check_wanted()
        try:
            arn = self._call_start(submission)
        except PipelineUnavailableError:
            raise
        except PipelineApiError:
            self._store.save_submission(submission.with_refusal())
            raise
        self._store.save_submission(submission.with_arn(arn))
        return arn

    def _resume(self, last: Submission, report: ExecutionReport, request: Mapping[str, Any]) -> str:
        arn = str(last.execution_arn)
        if not is_resumable(report):
            raise PipelineExecutionFailedError(
                f"{render_failure(report)}\nNot resumed: a Fail step ended it. on_retry='restart' starts another.",
                is_final=True,
            )
        if last.request != dict(request):
            self._log.warning(
                "Resuming keeps the first attempt's parameters; those of this attempt differ and are not used."
            )
        resumed = last.with_resume()
        self._store.save_submission(resumed)
        self._check_wanted()
        token = make_token(resumed.resume_token, 0 if self._store.is_durable else self._identity.try_number)
        try:
            self._calls.retry_execution(arn, token=token)
        except (PipelineConflictError, PipelineRequestError) as error:
            if not self._calls.describe_execution(arn).is_terminal:
                self._log.info("Somebody else has resumed %s already.", arn)
                return arn
            raise PipelineExecutionFailedError(
                f"{render_failure(report)}\nNot resumed: {error} on_retry='restart' starts another.", is_final=True
            ) from error
        self._log.info("Resumed %s from its failed steps.", arn)
        self._await_begin(arn)
        return arn

    def _stop(self, arn: str) -> None:
        try:
            self._calls.stop_execution(arn, token=make_stop_token(arn))
        except PipelineApiError as error:
            self._log.warning("The task was cleared, but its earlier execution could not be stopped: %s", error)

    def _await_end(self, report: ExecutionReport) -> ExecutionReport:
        deadline = time.monotonic() + _STOP_TIMEOUT_SECONDS
        while not report.is_terminal and time.monotonic() < deadline:
            time.sleep(2)
            report = self._calls.describe_report(report.arn)
        return report

    def _await_begin(self, arn: str) -> None:
        """Wait until the service shows the execution as running: its old failure must not count as the new outcome."""
        deadline = time.monotonic() + _RESUME_TIMEOUT_SECONDS
        while self._calls.describe_execution(arn).is_terminal and time.monotonic() < deadline:
            time.sleep(0.5)

    def _next(self, last: Submission, request: Mapping[str, Any]) -> Submission:
        number = last.number + 1 if self._store.is_durable else self._identity.try_number
        return make_submission(self._identity, number=number, request=request)
