"""What the tasks of a group know of each other: in XComs, since a triggerer reaches no task state store.

All of them are XComs of the task ``run``: the first execution, the list of repairs, and the memory of each step's task.
A clear of ``run`` begins anew and takes them away. They go past a custom XCom backend.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.airflow_task.plain_xcom import get_plain_xcom, set_plain_xcom, xcom_identity
from airflow_sm_pipelines.airflow_task.stop_on_kill import TaskKey, find_supervisor, find_task_state, is_ended_by_hand
from airflow_sm_pipelines.runs.repair import GroupExecution, parse_executions
from airflow_sm_pipelines.runs.step_repairer import begin_attempt, parse_memory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_sm_pipelines.airflow_task.stop_on_kill import TaskInstanceKey
    from airflow_sm_pipelines.client.reports import ExecutionReport

GROUP_KEY = "sagemaker_group"
"""The XCom of ``run`` with the run's first execution and when it was begun."""

REPAIRS_KEY = "sagemaker_repairs"
"""The XCom of ``run`` with the executions that repairs have started."""

STEP_KEY = "sagemaker_step_"
"""The begin of the key of an XCom of ``run`` with the memory of one step's task, whose name follows.

It is not the step's own: Airflow deletes the XComs of each task that begins anew in a worker.
"""

_WRITES = 5


def key_of(ti: TaskInstanceKey, task_id: str) -> TaskKey:
    """Another task of the same DAG run and, in a mapped group, of the same index."""
    return TaskKey(ti.dag_id, ti.run_id, task_id, -1 if ti.map_index is None else ti.map_index)


def find_attempt_begin(ti: Any) -> float | None:
    """When Airflow has made this attempt's row, in seconds since 1970: its id, a UUID of version 7, begins with that.

    Airflow gives a task instance another id when it is cleared.
    """
    digits = str(getattr(ti, "id", "")).replace("-", "")
    return int(digits[:12], 16) / 1000 if len(digits) == 32 and digits[12] == "7" else None


def read_group_executions(ti: TaskInstanceKey, run_task_id: str) -> tuple[GroupExecution, ...]:
    """The executions of a group's run, oldest first; empty where none has been started.

    :param ti: any task instance of the group.
    """
    run = key_of(ti, run_task_id)
    start = get_plain_xcom(run, GROUP_KEY)
    if not start:
        return ()
    first, *others = parse_executions(get_plain_xcom(run, REPAIRS_KEY), root=start["arn"])
    return (GroupExecution(first.arn, root=first.root, began=start["began"]), *others)


class XComGroupRecord:
    """The record as one attempt of a step's task sees it.

    :param ti: the task instance.
    :param run_task_id: the task that has started the execution.
    :param step_prefix: what stands before a step's name in the id of its task.
    """

    def __init__(self, ti: Any, *, run_task_id: str, step_prefix: str) -> None:
        self._ti = ti
        self._run = key_of(ti, run_task_id)
        self._prefix = step_prefix
        self._memory_key = STEP_KEY + ti.task_id.removeprefix(step_prefix)
        # The first attempt has none, and Airflow would log an error for each XCom that is not there.
        known = parse_memory(get_plain_xcom(self._run, self._memory_key)) if ti.try_number > 1 else None
        self.memory = begin_attempt(known, ti.try_number, began_at=find_attempt_begin(ti))
        self.is_new = self.memory is not known
        self.former = known if self.is_new else None

    def read_executions(self) -> tuple[GroupExecution, ...]:
        """The executions of the run, oldest first; empty where none has been started."""
        return read_group_executions(self._ti, self._run.task_id)

    def save_execution(self, entry: GroupExecution) -> None:
        """Keep a repair's execution; one of the same token is replaced.

        Another task may write the list in the same moment. So it is read again, and written again where it lacks it.
        """
        for _ in range(_WRITES):
            listed = list(get_plain_xcom(self._run, REPAIRS_KEY) or ())
            if entry.to_json() in listed:
                return
            tokens = [(one["token"], one["root"]) for one in listed]
            place = (entry.token, entry.root)
            if place in tokens:
                old = listed[tokens.index(place)]
                if old["arn"] is not None and entry.arn is None:
                    return  # another task has been faster
                listed[tokens.index(place)] = entry.to_json()
            else:
                listed.append(entry.to_json())
            set_plain_xcom(self._run, REPAIRS_KEY, listed)
            time.sleep(0.1)

    def save_memory(self) -> None:
        """Keep this task's memory, unless a later attempt has begun: then this one's trigger only has not ended yet."""
        if self.memory.attempt < self._latest_attempt():
            return
        set_plain_xcom(self._run, self._memory_key, self.memory.to_json())

    def _latest_attempt(self) -> int:
        known = parse_memory(get_plain_xcom(self._run, self._memory_key)) if self.memory.attempt > 1 else None
        return 0 if known is None else known.attempt

    def find_cleared(self, steps: tuple[str, ...]) -> frozenset[str] | None:
        """Which of these steps' tasks have been cleared, and have not ended again yet; None while that is not clear.

        A task that still waits although it has shown its step's end is about to end, or has just begun anew.
        """
        tasks = {step: key_of(self._ti, self._prefix + step) for step in steps}
        states = request_states(self._ti, [task.task_id for task in tasks.values()])
        found = set()
        for step, task in tasks.items():
            state = find_task_state(states, task)
            if is_ended_by_hand(state):  # an end state, or no such task
                continue
            memory = parse_memory(get_plain_xcom(self._run, STEP_KEY + step))
            if memory is not None and memory.ended_at is not None and state in ("deferred", "running"):
                return None
            if memory is not None and memory.seen is not None:
                found.add(step)
        return frozenset(found)


def request_states(ti: TaskInstanceKey, task_ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """The states of tasks of the same DAG run, as :func:`find_task_state` takes them."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    if find_supervisor() is None:
        return {}
    states: dict[str, dict[str, Any]] = RuntimeTaskInstance.get_task_states(
        dag_id=ti.dag_id, task_ids=list(task_ids), run_ids=[ti.run_id]
    )
    return states


def describe_repair(ti: TaskInstanceKey, run_task_id: str) -> str:
    """The description of an execution that repairs a run; the same for all tasks of the group."""
    group = run_task_id.rpartition(".")[0]
    return f"Started by Airflow: DAG {ti.dag_id}, run {ti.run_id}, group {group}; runs steps again"


def find_differences(ti: TaskInstanceKey, report: ExecutionReport, step_tasks: Mapping[str, str]) -> list[str]:
    """Which steps' tasks show another end than their steps, a sentence each.

    :param report: the run at its end.
    :param step_tasks: the ids of the steps' tasks, by step name.
    """
    states = request_states(ti, step_tasks.values())
    found = []
    for name, task_id in step_tasks.items() if states else ():
        state = find_task_state(states, key_of(ti, task_id))
        step = report.latest_step(name)
        is_success = step is not None and step.status == "Succeeded"
        if is_ended_by_hand(state) and (state == "success") is not is_success:
            status = "did not run" if step is None else f"is {step.status}"
            found.append(
                f"Task {task_id} is {state}, but its step {status}: it was not cleared, or was marked by hand."
            )
    return found


def push_xcoms(ti: Any, values: dict[str, Any]) -> None:
    """Push XComs of a task through the XCom backend, as a worker does it."""
    from airflow.sdk.execution_time.xcom import XCom

    for key, value in values.items():
        XCom.set(key=key, value=value, **xcom_identity(ti))


def delete_xcoms(ti: Any, keys: Iterable[str]) -> None:
    """Delete XComs of a task. Airflow does that for each new attempt that begins in a worker."""
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time.xcom import XCom

    for key in keys:
        with suppress(AirflowRuntimeError):  # it is not there
            XCom.delete(key=key, **xcom_identity(ti))
