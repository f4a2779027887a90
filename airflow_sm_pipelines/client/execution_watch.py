"""Waits for one execution: looks at it, logs what is new, and says when to look again. The caller sleeps.

The synchronous operator sleeps in its thread, the trigger of ``airflow dags test`` in the event loop. In a triggerer,
:mod:`airflow_sm_pipelines.triggers.watcher` looks for many tasks at once.
"""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.client.answers import UNREADABLE_ANSWER
from airflow_sm_pipelines.client.api_errors import needs_new_client
from airflow_sm_pipelines.client.choices import MAX_REFUSED_SECONDS
from airflow_sm_pipelines.client.wait_policy import (
    ProgressLog,
    RefusedLooks,
    plan_backoff,
    plan_delay,
)
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.reports import ExecutionReport

MAX_UNANSWERED_LOOKS = 20
"""Looks in a row without an answer before the wait gives up: with the back-off, about a quarter of an hour.

Throttling is an answer: what the service refuses is borne longer, see ``max_refused_seconds``.
"""

UNREACHABLE_CODES = (
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "ConnectionClosedError",
    UNREADABLE_ANSWER,
)
"""Codes of errors where no service answered, though something in between may have."""


class ExecutionWatch:
    """Looks at an execution until it ends.

    :param arn: the execution.
    :param waiter_delay: seconds between two looks once the execution has been running for ten times as long.
    :param deadline: when to give up, aware; None for never.
    :param log: told each progress line.
    :param warn: told each look that was refused.
    :param is_over: whether the wait is over after a look; when the execution has ended, where not given.
    :param notice: told what each look found, and whether anything is new.
    :param max_refused_seconds: how long it is borne that each look is refused.
    :ivar needs_new_client: whether the last look was refused for its credentials.
    """

    def __init__(
        self,
        arn: str,
        *,
        waiter_delay: float,
        deadline: datetime | None,
        log: Callable[[str], None],
        warn: Callable[[str], None],
        is_over: Callable[[ExecutionReport], bool] | None = None,
        notice: Callable[[ExecutionReport, bool], None] | None = None,
        max_refused_seconds: float = MAX_REFUSED_SECONDS,
    ) -> None:
        self._is_over = is_over
        self._notice = notice
        self.arn = arn
        self.delay_seconds = 0.0
        self.needs_new_client = False
        self._waiter_delay = waiter_delay
        self._deadline = deadline
        self._log = log
        self._warn = warn
        self._progress = ProgressLog()
        self._began = time.monotonic()
        self._refused = RefusedLooks(max_refused_seconds)
        self._refusals = 0
        self._silences = 0

    def look(self, calls: SageMakerCalls) -> dict[str, Any] | None:
        """Look once. On None, sleep ``delay_seconds`` and look again.

        :return: a JSON-safe event: ``kind`` is ``"ended"`` or ``"timeout"``, with the report's keys; or ``"error"``,
            with ``execution_arn``, ``code`` and ``message``.
        """
        try:
            report = calls.describe_report(self.arn)
        except PipelineApiError as error:
            if self._refused.can_pass(error):
                return self._bear(error)
            return error_event(self.arn, code=error.code, message=str(error))
        self._refusals, self._silences, self.needs_new_client = 0, 0, False
        self._refused.record_answer()
        lines = self._progress.lines(report)
        for line in lines:
            self._log(line)
        if self._notice is not None:
            self._notice(report, bool(lines))
        if report.is_terminal if self._is_over is None else self._is_over(report):
            return ended_event(report)
        if self._deadline is not None and datetime.now(timezone.utc) >= self._deadline:
            return {"kind": "timeout", **report.to_json()}
        self._plan(plan_delay(elapsed_seconds=time.monotonic() - self._began, waiter_delay=self._waiter_delay))
        return None

    def _bear(self, error: PipelineApiError) -> dict[str, Any] | None:
        self._refusals += 1
        self.needs_new_client = needs_new_client(error)
        reason = self._refused.record_refusal(error, now=time.monotonic())
        if reason is not None:
            return error_event(self.arn, code=error.code, message=reason)
        self._silences = self._silences + 1 if error.code in UNREACHABLE_CODES else 0
        if self._silences >= MAX_UNANSWERED_LOOKS:
            message = f"{error} No answer to {self._silences} looks in a row: the execution may still be running."
            return error_event(self.arn, code=error.code, message=message)
        if self._deadline is not None and datetime.now(timezone.utc) >= self._deadline:
            self._warn(f"{error} The time for asking again is over.")
            return timeout_event(self.arn)
        self._plan(plan_backoff(failures=self._refusals, waiter_delay=self._waiter_delay))
        self._warn(f"{error} Looking again in {self.delay_seconds:.0f} s.")
        return None

    def _plan(self, delay_seconds: float) -> None:
        if self._deadline is not None:
            left = (self._deadline - datetime.now(timezone.utc)).total_seconds()
            delay_seconds = min(delay_seconds, max(left, 0.0))
        self.delay_seconds = delay_seconds


def ended_event(report: ExecutionReport) -> dict[str, Any]:
    """The event of an execution that has ended."""
    return {"kind": "ended", **report.to_json()}


def timeout_event(arn: str) -> dict[str, Any]:
    """The event of a wait whose time is over, where the last look has found nothing."""
    return {"kind": "timeout", "execution_arn": arn, "status": "Executing", "failure_reason": None}


def error_event(arn: str, *, code: str, message: str) -> dict[str, Any]:
    """The event of a wait that has to give up."""
    return {"kind": "error", "execution_arn": arn, "status": "Unknown", "code": code, "message": message}
