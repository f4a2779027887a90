"""The states of the tasks whose triggers run in this triggerer, asked for many at once.

A trigger asks so often that one call for each of a thousand would be too many. Requests made within a moment for tasks
of one DAG share a call.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.asking_threads import run_in_thread
from airflow_sm_pipelines.airflow_task.stop_on_kill import find_supervisor, find_task_state

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_sm_pipelines.airflow_task.stop_on_kill import TaskInstanceKey

GATHER_SECONDS = 0.2
"""How long a request waits for others that can share its call."""

MAX_TASKS = 200
"""The most tasks in one call: Airflow puts their run ids into a URL."""

DEFERRED = "deferred"
"""The state of a task that waits for its trigger; also given where Airflow does not answer."""

log = logging.getLogger(__name__)


class TaskStates:
    """Asks Airflow for the states of tasks, those of one DAG together. Used in one event loop."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[tuple[TaskInstanceKey, asyncio.Future[str | None]]]] = {}
        self._requests: set[asyncio.Task[None]] = set()
        self._is_warned = False

    async def request(self, task: TaskInstanceKey) -> str | None:
        """The state of a task now, as :func:`request_task_state` gives it."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str | None] = loop.create_future()
        group = self._waiting.setdefault(task.dag_id, [])
        group.append((task, answer))
        if len(group) == 1:
            request = loop.create_task(self._request_group(task.dag_id))
            self._requests.add(request)
            request.add_done_callback(self._requests.discard)
        return await answer

    async def _request_group(self, dag_id: str) -> None:
        try:
            await asyncio.sleep(GATHER_SECONDS)
        finally:  # also when it is cancelled: the next request must not wait for this one
            group = self._waiting.pop(dag_id)
        for start in range(0, len(group), MAX_TASKS):
            part = group[start : start + MAX_TASKS]
            try:
                states = await run_in_thread(_request_states, dag_id, [task for task, _ in part])
                self._is_warned = False
            except Exception as error:  # noqa: BLE001 - errors of Airflow's API client are of many classes
                if not self._is_warned:
                    log.warning("Airflow does not say which tasks still wait: %s: %s", type(error).__name__, error)
                self._is_warned, states = True, None
            for task, answer in part:
                if not answer.done():
                    answer.set_result(DEFERRED if states is None else find_task_state(states, task))


def _request_states(dag_id: str, tasks: Sequence[TaskInstanceKey]) -> dict[str, dict[str, Any]] | None:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if find_supervisor() is None:  # no triggerer: a test, or `airflow dags test`
        return None
    return RuntimeTaskInstance.get_task_states(
        dag_id=dag_id,
        task_ids=sorted({task.task_id for task in tasks}),
        run_ids=sorted({task.run_id for task in tasks}),
    )
