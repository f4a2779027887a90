"""Stops an execution when somebody has ended its task, and leaves it alone when the next attempt will wait for it.

Airflow also kills a task when it takes its worker or its triggerer for dead and has given the work to another one. So
both :class:`ExecutionStopper`, for a worker, and :func:`stop_if_ended_by_hand`, for a triggerer, first ask which state
the task is in now.
"""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from airflow_sm_pipelines.client.request_tokens import make_stop_token
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_sm_pipelines.client.calls import SageMakerCalls
    from airflow_sm_pipelines.client.logger import Logger

_STOP_TIMEOUT_SECONDS = 4.0
_SIGKILL_TIMEOUT_SECONDS = 10.0
_ENDED_BY_HAND = frozenset({"failed", "success", "skipped", "upstream_failed", "removed"})
_CLEARED = "restarting"
"""The state of a task that is cleared while it runs, until its worker has gone."""


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
    """Ask Airflow for the state of a task instance now, whichever attempt it is at; None where it knows none."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states = RuntimeTaskInstance.get_task_states(
        dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id], map_index=task.map_index
    ).get(task.run_id, {})
    state = states.get(task.task_id, states.get(f"{task.task_id}_{task.map_index}"))
    return None if state is None else str(getattr(state, "value", state))


def stop_if_ended_by_hand(
    task: TaskInstanceKey | None, arn: str, *, make_hook: Callable[[], SageMakerCalls], log: Logger
) -> None:
    """Stop the execution of a deferred task, if somebody has ended the task by hand.

    Airflow also kills the trigger of a task that was cleared, after its next attempt has begun (measured on 3.3.2).
    That task is in no end state, and its execution goes on.

    :param task: None under ``airflow dags test``.
    """
    state = None if task is None else request_task_state(task)
    if state not in _ENDED_BY_HAND:
        log.info("The task is %s, not ended by hand: execution %s goes on.", state, arn)
        return
    log.info("The task was marked %s.", state)
    _stop(make_hook(), arn, log)


class ExecutionStopper:
    """Stops one task instance's execution from inside a signal handler, on a worker.

    :param make_hook: makes a hook with clients of its own, because the interrupted call may hold the others.
    :param task: None where the task is not known yet.
    """

    def __init__(self, make_hook: Callable[[], SageMakerCalls], *, task: TaskInstanceKey | None, log: Logger) -> None:
        self._make_hook = make_hook
        self._task = task
        self._log = log
        self._is_ended_by_hand = False
        self._hook: SageMakerCalls | None = None

    def prepare(self) -> None:
        """Make the client now. On a busy machine that alone can take the five seconds from SIGTERM to SIGKILL."""
        self._hook = self._make_hook()
        _ = self._hook.conn

    def stop(self, arn: str) -> None:
        """Stop the execution if the task was ended by hand or timed out.

        Airflow calls ``on_kill`` in a signal handler, while another call is interrupted. So a thread sends the stop,
        with a client of its own, within the five seconds that Airflow leaves.
        """
        fault = sys.exc_info()[0]
        is_timeout = fault is not None and fault.__name__ == "AirflowTaskTimeout"
        thread = threading.Thread(target=self._stop_in_thread, args=(arn, is_timeout), daemon=True)
        thread.start()
        thread.join(_STOP_TIMEOUT_SECONDS)
        if self._is_ended_by_hand:
            # Airflow lets the interrupted code run on until SIGKILL. It would see the execution stopped, and report a
            # failure that may reach the task's next attempt.
            time.sleep(_SIGKILL_TIMEOUT_SECONDS)

    def _stop_in_thread(self, arn: str, is_timeout: bool) -> None:
        if not is_timeout and self._task is not None and not _is_dags_test():
            state = self._task_state(self._task)
            if state not in _ENDED_BY_HAND and state != _CLEARED:
                # The worker is going away; or Airflow missed its heartbeats and has given the task to another worker,
                # which may be waiting for this very execution already.
                self._log.info("The task is %s; execution %s goes on for the next attempt.", state, arn)
                return
            self._is_ended_by_hand = True
        _stop(self._hook or self._make_hook(), arn, self._log)

    def _task_state(self, task: TaskInstanceKey) -> str | None:
        from airflow.sdk.exceptions import AirflowRuntimeError

        try:
            return request_task_state(task)
        except (AirflowRuntimeError, OSError) as error:
            self._log.warning("Airflow does not say why this task is killed, so its execution goes on: %s", error)
            return "running"


def _is_dags_test() -> bool:
    """Whether this is ``airflow dags test``, where only the user can have killed the task."""
    from airflow.sdk.execution_time import task_runner

    comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
    return comms is None or type(comms).__name__ == "InProcessSupervisorComms"


def _stop(calls: SageMakerCalls, arn: str, log: Logger) -> None:
    try:
        stopped = calls.stop_execution(arn, token=make_stop_token(arn))
    except PipelineApiError as error:
        log.warning("Execution %s could not be stopped: %s", arn, error)
        return
    log.info("Execution %s: %s.", arn, "told to stop" if stopped else "had ended")
