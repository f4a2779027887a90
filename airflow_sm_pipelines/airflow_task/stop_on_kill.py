"""Stops an execution when somebody has ended its task, and leaves it alone when the next attempt will wait for it.

Airflow also kills a task when it takes its worker or its triggerer for dead and has given the work to another one. So
all three here first ask which state the task is in now: :class:`ExecutionStopper`, for a worker,
:func:`stop_if_ended_by_hand`, for a triggerer, and :func:`stop_execution_of_ended_task`, which the api-server and the
scheduler leave for a triggerer. The table of who stops when is in docs/airflow.md.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.hook_arguments import SHARED_HOOKS, HookArguments
from airflow_sm_pipelines.client.request_tokens import make_stop_token
from airflow_sm_pipelines.exceptions import PipelineApiError, PipelineExecutionFailedError
from airflow_sm_pipelines.runs.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger

_STOP_TIMEOUT_SECONDS = 4.0
_TIMEOUT_STOP_SECONDS = 60.0
"""How long a task whose ``execution_timeout`` is over may take to stop its execution: no SIGKILL follows."""
_SIGKILL_TIMEOUT_SECONDS = 10.0
DELETED = "deleted"
"""What :func:`request_task_state` gives for a task whose row is gone; Airflow has no state of this name."""

_ENDED_BY_HAND = frozenset({"failed", "success", "skipped", "upstream_failed", "removed", DELETED})
_CLEARED_WHILE_RUNNING = "restarting"
"""The state of a task that is cleared while it runs, until its worker has gone."""
_CLEARED_WHILE_DEFERRED = frozenset({None, "scheduled", "queued"})
"""The states of a task that was cleared while it was deferred, until its next attempt begins."""
_CLEARED = "cleared"
"""What an order calls the state of a cleared task, whatever has come of it since."""
_ATTEMPTS = 5
_PAUSE_SECONDS = 10.0


_log = logging.getLogger(__name__)


class TaskInstanceKey(Protocol):
    """What names a task instance."""

    @property
    def dag_id(self) -> str:
        """The DAG."""

    @property
    def run_id(self) -> str:
        """The DAG run."""

    @property
    def task_id(self) -> str:
        """The task."""

    @property
    def map_index(self) -> Any:
        """The index of a mapped task instance; -1 for others."""


def request_task_state(task: TaskInstanceKey) -> str | None:
    """Ask Airflow for the state of a task instance now, whichever attempt it is at.

    :return: Airflow's word; None for a task that was cleared, :data:`DELETED` for one whose row is gone; ``"running"``
        where there is no Airflow to ask.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        states = RuntimeTaskInstance.get_task_states(
            dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id], map_index=task.map_index
        )
    except NameError:  # Airflow 3.3's module has no SUPERVISOR_COMMS where nobody supervises the process
        return "running"
    return find_task_state(states, task)


def find_supervisor() -> Any:
    """The connection to Airflow of this worker or triggerer; None in a process that Airflow does not supervise."""
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None)


def find_task_state(states: Mapping[str, Mapping[str, Any]], task: TaskInstanceKey) -> str | None:
    """One task instance's state in Airflow's answer about several.

    :param states: by run id and task id; a mapped task instance is called ``<task id>_<map index>``.
    :return: as of :func:`request_task_state`.
    """
    of_run = states.get(task.run_id, {})
    for name in (task.task_id, f"{task.task_id}_{task.map_index}"):
        if name in of_run:
            state = of_run[name]
            return None if state is None else str(getattr(state, "value", state))
    return DELETED


def is_ended_by_hand(state: str | None) -> bool:
    """Whether the state of a task that was waiting says that somebody has ended it, or deleted it."""
    return state in _ENDED_BY_HAND


def has_left(state: str | None) -> bool:
    """Whether a deferred task waits no more, although Airflow still runs its trigger: it was cleared or deleted.

    A cleared task may stay ``scheduled`` for long, where its pool is full.
    """
    return state == DELETED or state in _CLEARED_WHILE_DEFERRED


def stop_if_ended_by_hand(
    task: TaskInstanceKey | None,
    arn: str,
    *,
    hook_arguments: HookArguments,
    log: Logger,
    stop_on_clear: bool = True,
) -> None:
    """Stop the execution of a deferred task, if somebody has ended, deleted or cleared the task.

    Airflow may kill the trigger of a cleared task only when its next attempt has begun (measured on 3.3.2). That
    attempt decides by itself about the execution.

    :param task: None under ``airflow dags test``.
    :param stop_on_clear: False where a cleared task goes on with its execution.
    """
    state = "running" if task is None else request_task_state(task)
    if is_ended_by_hand(state):
        log.info("The task was %s.", state if state == DELETED else f"marked {state}")
    elif state in _CLEARED_WHILE_DEFERRED and stop_on_clear:
        log.info("The task was cleared.")
    else:
        log.info("The task is %s, not ended by hand: execution %s goes on.", state, arn)
        return
    stop_now(arn, hook_arguments=hook_arguments, log=log)


def stop_now(arn: str, *, hook_arguments: HookArguments, log: Logger) -> bool:
    """Stop an execution, at the second try with a new client; whether the call was answered."""
    if _stop(SHARED_HOOKS.get(hook_arguments), arn, log):
        return True
    SHARED_HOOKS.forget(hook_arguments)
    return _stop(SHARED_HOOKS.get(hook_arguments), arn, log)


async def stop_execution_of_ended_task(
    task: dict[str, Any],
    submission: dict[str, Any],
    hook_arguments: dict[str, Any],
    *,
    is_deleted: bool = False,
    is_cleared: bool = False,
) -> str:
    """Stop the execution of a task that was ended where nobody could stop it. A triggerer runs this.

    :mod:`airflow_sm_pipelines.airflow_task.ended_task_listener` orders it.

    :param task: ``dag_id``, ``run_id``, ``task_id`` and ``map_index``.
    :param submission: what the task has stored about its start call.
    :param hook_arguments: where its calls go.
    :param is_deleted: whether the task was deleted. A task of the same name may be there again, which is another one.
    :param is_cleared: whether the task was cleared. Its next attempt has another execution, if it has begun.
    :return: what was done, in words.
    """
    key = TaskKey(**task)
    arguments = (key, Submission(**submission), HookArguments(**hook_arguments))
    known = DELETED if is_deleted else _CLEARED if is_cleared else None
    for attempt in range(_ATTEMPTS):
        try:
            return await run_in_thread(_stop_submission, *arguments, known_state=known)
        except PipelineApiError as error:
            SHARED_HOOKS.forget(arguments[2])
            if attempt == _ATTEMPTS - 1:
                raise
            _log.warning("The execution of the ended task %s could not be stopped; trying again: %s", key, error)
        await asyncio.sleep(_PAUSE_SECONDS)
    raise AssertionError("not reached")


def _stop_submission(
    task: TaskKey, submission: Submission, hook_arguments: HookArguments, *, known_state: str | None
) -> str:
    state = known_state or request_task_state(task)
    if state != _CLEARED and not is_ended_by_hand(state):
        return f"The task is {state}, not ended by hand: its execution goes on."
    hook = SHARED_HOOKS.get(hook_arguments)
    arn = find_execution(hook, submission)
    was_stopped = hook.stop_execution(arn, token=make_stop_token(arn))
    return f"The task is {state}. Execution {arn}: {'told to stop' if was_stopped else 'had ended'}."


def find_execution(calls: SageMakerCalls, submission: Submission) -> str:
    """The ARN of a submission's execution. Where nobody has seen the answer, the call is repeated with its token.

    SageMaker answers a repeated token with the execution that the first call has started.
    """
    return submission.execution_arn or calls.start_execution(submission.request, token=submission.token)


@dataclass(frozen=True, slots=True)
class TaskKey:
    """What names a task instance, by value."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


class ExecutionStopper:
    """Stops one task instance's execution on a worker: in the signal handler, or where the task asks by itself.

    :param make_hook: makes a hook with clients of its own, because the interrupted call may hold the others.
    :param task: None where the task is not known yet.
    :param stop_on_clear: False where a cleared task goes on with its execution.
    :ivar is_ended_by_hand: whether Airflow has said that somebody has ended or cleared the task.
    """

    def __init__(
        self,
        make_hook: Callable[[], SageMakerCalls],
        *,
        task: TaskInstanceKey | None,
        log: Logger,
        stop_on_clear: bool = True,
    ) -> None:
        self._make_hook = make_hook
        self._task = task
        self._log = log
        self._stop_on_clear = stop_on_clear
        self.is_ended_by_hand = False
        self._hook: SageMakerCalls | None = None

    def prepare(self) -> None:
        """Make the client now. On a busy machine that alone can take the five seconds from SIGTERM to SIGKILL."""
        self._hook = self._make_hook()
        _ = self._hook.conn

    def check_wanted(self, arn: str | None = None, *, calls: SageMakerCalls | None = None) -> None:
        """Ask Airflow whether this attempt is still wanted; if somebody has ended the task, stop its execution.

        A task that ends between its start call and its wait has nobody else who would stop the execution.

        :param arn: the execution to stop; None where none has started.
        :param calls: a connection that is not in use now. Airflow may be killing this process, and making another
            takes time.
        :raises PipelineExecutionFailedError: final, if the task has been ended or cleared.
        """
        if self._task is None or is_dags_test():
            return
        state = self._task_state(self._task)
        if not is_ended_by_hand(state) and state != _CLEARED_WHILE_RUNNING:
            return
        self.is_ended_by_hand = True
        what = f"The task is {state} while its execution starts."
        if arn is not None and (self._stop_on_clear or state != _CLEARED_WHILE_RUNNING):
            self._log.warning(what)
            _stop(calls or self._hook or self._make_hook(), arn, self._log)
        if state == _CLEARED_WHILE_RUNNING:
            # A failure that is reported now may reach the task's next attempt. Airflow kills this one.
            time.sleep(_SIGKILL_TIMEOUT_SECONDS)
        raise PipelineExecutionFailedError(what, is_final=True)

    def stop_pending(self, pending: Submission | None, *, calls: SageMakerCalls | None = None) -> None:
        """After an error in the start call: stop what the call may have started, if somebody has ended the task.

        Airflow refuses to store anything for a cleared or deleted task, so the error may come before
        :meth:`check_wanted`.
        """
        if pending is None or self._task is None or is_dags_test():
            return
        state = self._task_state(self._task)
        if is_ended_by_hand(state) or (state == _CLEARED_WHILE_RUNNING and self._stop_on_clear):
            self.is_ended_by_hand = True
            self._find_and_stop(pending, calls or self._hook or self._make_hook())

    def stop(self, arn: str | None, *, pending: Submission | None = None) -> None:
        """Stop the execution if the task was ended by hand or timed out.

        Airflow calls ``on_kill`` in a signal handler, while another call is interrupted. So a thread sends the stop,
        with a client of its own, within the five seconds that Airflow leaves.

        :param arn: None where the start call is under way.
        :param pending: the submission whose start call is under way.
        """
        fault = sys.exc_info()[0]
        is_timeout = fault is not None and fault.__name__ == "AirflowTaskTimeout"
        submission_or_arn = arn or pending
        if submission_or_arn is None:
            return
        thread = threading.Thread(target=self._stop_in_thread, args=(submission_or_arn, is_timeout), daemon=True)
        thread.start()
        if arn is None and not is_timeout:
            return  # the start call goes on; when it returns, check_wanted stops the execution without a new client
        thread.join(_TIMEOUT_STOP_SECONDS if is_timeout else _STOP_TIMEOUT_SECONDS)
        if self.is_ended_by_hand:
            # Airflow lets the interrupted code run on until SIGKILL. It would see the execution stopped, and report a
            # failure that may reach the task's next attempt.
            time.sleep(_SIGKILL_TIMEOUT_SECONDS)

    def _stop_in_thread(self, execution: str | Submission, is_timeout: bool) -> None:
        if not is_timeout and self._task is not None and not is_dags_test():
            state = self._task_state(self._task)
            is_cleared = state == _CLEARED_WHILE_RUNNING
            if not is_ended_by_hand(state) and not (is_cleared and self._stop_on_clear):
                # The worker is going away, or the next attempt goes on with the execution; or Airflow missed its
                # heartbeats and has given the task to another worker, which may be waiting for this very execution.
                self._log.info("The task is %s; its execution goes on for the next attempt.", state)
                return
            self.is_ended_by_hand = True
        self._find_and_stop(execution, self._hook or self._make_hook())

    def _find_and_stop(self, execution: str | Submission, calls: SageMakerCalls) -> None:
        try:
            arn = execution if isinstance(execution, str) else find_execution(calls, execution)
        except PipelineApiError as error:
            self._log.warning("Whether an execution has started is not known, so none is stopped: %s", error)
            return
        _stop(calls, arn, self._log)

    def _task_state(self, task: TaskInstanceKey) -> str | None:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            return request_task_state(task)
        except (AirflowRuntimeError, OSError) as error:
            self._log.warning("Airflow does not say why this task is killed, so its execution goes on: %s", error)
            return "running"


def is_dags_test() -> bool:
    """Whether this is ``airflow dags test``, where only the user can have killed the task."""
    comms = find_supervisor()
    return comms is None or type(comms).__name__ == "InProcessSupervisorComms"


def _stop(calls: SageMakerCalls, arn: str, log: Logger) -> bool:
    """Stop an execution; whether the call was answered."""
    try:
        stopped = calls.stop_execution(arn, token=make_stop_token(arn))
    except PipelineApiError as error:
        log.warning("Execution %s could not be stopped: %s", arn, error)
        return False
    log.info("Execution %s: %s.", arn, "told to stop" if stopped else "had ended")
    return True
