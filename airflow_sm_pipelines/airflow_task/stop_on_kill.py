"""Stopping an execution when its task is killed, unless only the worker goes away and the next attempt takes it up."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING

from airflow_sm_pipelines.client.request_tokens import make_stop_token
from airflow_sm_pipelines.exceptions import PipelineApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk.types import Logger

    from airflow_sm_pipelines.hooks.pipelines import SageMakerPipelinesHook
    from airflow_sm_pipelines.runs.submission import TaskIdentity

_KILL_PATIENCE_SECONDS = 4.0
_DEATH_PATIENCE_SECONDS = 10.0
# A task that is cleared while it runs is restarting until its worker has gone.
_ENDED_BY_HAND = frozenset({"failed", "success", "skipped", "upstream_failed", "removed", "restarting"})


class ExecutionStopper:
    """Stops one task instance's execution from inside a signal handler.

    :param make_hook: makes a hook with clients of its own; the interrupted call holds the others.
    """

    def __init__(
        self, make_hook: Callable[[], SageMakerPipelinesHook], *, identity: TaskIdentity | None, log: Logger
    ) -> None:
        """Call nothing yet."""
        self._make_hook = make_hook
        self._identity = identity
        self._log = log
        self._is_ended_by_hand = False
        self._hook: SageMakerPipelinesHook | None = None

    def prepare(self) -> None:
        """Make the client now: on a busy machine that alone can take the five seconds between SIGTERM and SIGKILL."""
        self._hook = self._make_hook()
        _ = self._hook.conn

    def stop(self, arn: str) -> None:
        """Stop the execution if the task was ended by hand or timed out.

        Airflow calls ``on_kill`` in a signal handler, on top of whatever call was interrupted; so the stop is sent from
        a thread and a client of its own, within the five seconds that Airflow leaves.
        """
        fault = sys.exc_info()[0]
        is_timeout = fault is not None and fault.__name__ == "AirflowTaskTimeout"
        thread = threading.Thread(target=self._stop, args=(arn, is_timeout), daemon=True)
        thread.start()
        thread.join(_KILL_PATIENCE_SECONDS)
        if self._is_ended_by_hand:
            # Airflow lets the interrupted code go on until SIGKILL: it would see the execution stopped, and report a
            # failure that may reach the task's next attempt.
            time.sleep(_DEATH_PATIENCE_SECONDS)

    def _stop(self, arn: str, is_timeout: bool) -> None:
        is_alone = is_timeout or self._is_alone()
        state = None if is_alone else self._task_state()
        if not is_alone and state not in _ENDED_BY_HAND:
            # The worker is going away; or Airflow missed its heartbeats and has given the task to another one, which
            # may be waiting for this very execution already.
            self._log.info("The task is %s; execution %s goes on for the next attempt.", state, arn)
            return
        self._is_ended_by_hand = state is not None
        try:
            stopped = (self._hook or self._make_hook()).stop_execution(arn, token=make_stop_token(arn))
        except PipelineApiError as error:
            self._log.warning("Execution %s could not be stopped: %s", arn, error)
            return
        self._log.info("Execution %s: %s.", arn, "told to stop" if stopped else "had ended")

    def _is_alone(self) -> bool:
        """Whether nobody else has the task, as in ``airflow dags test``: then only the user can have killed it."""
        from airflow.sdk.execution_time import task_runner

        comms = getattr(task_runner, "SUPERVISOR_COMMS", None)
        return self._identity is None or comms is None or type(comms).__name__ == "InProcessSupervisorComms"

    def _task_state(self) -> str | None:
        """The state Airflow has for this task instance now, whichever attempt it is at."""
        from airflow.sdk.exceptions import AirflowRuntimeError
        from airflow.sdk.execution_time import task_runner

        identity = self._identity
        if identity is None:
            return None
        try:
            states = task_runner.RuntimeTaskInstance.get_task_states(
                dag_id=identity.dag_id,
                task_ids=[identity.task_id],
                run_ids=[identity.run_id],
                map_index=identity.map_index,
            ).get(identity.run_id, {})
        except (AirflowRuntimeError, OSError) as error:
            self._log.warning("Airflow does not say why this task is killed, so its execution goes on: %s", error)
            return "running"
        state = states.get(identity.task_id, states.get(f"{identity.task_id}_{identity.map_index}"))
        return None if state is None else str(getattr(state, "value", state))
