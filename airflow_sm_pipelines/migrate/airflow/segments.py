"""Cuts the SageMaker tasks of a DAG into segments: as few as possible, each of which one pipeline can do.

A segment holds tasks that follow each other, with no other task between them. A task begins a segment of its own where
it has a trigger rule, where a branch names it, and where it runs on other terms (connection, retries, pool).
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_sm_pipelines.exceptions import MigrationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_sm_pipelines.migrate.airflow.dag_reader import DagFile, JobTask

CONNECTION = ("aws_conn_id", "region_name", "verify", "botocore_config")
"""Arguments that deploy and run take over."""
RUN = (
    *("retries", "retry_delay", "retry_exponential_backoff", "max_retry_delay", "execution_timeout", "pool"),
    *("pool_slots", "priority_weight", "weight_rule", "queue", "owner", "email", "email_on_failure", "email_on_retry"),
    *("on_failure_callback", "on_success_callback", "on_retry_callback", "on_execute_callback", "depends_on_past"),
    *("wait_for_downstream", "max_active_tis_per_dag", "inlets", "outlets", "doc_md", "executor_config", "deferrable"),
)
"""Arguments that only the run task takes over."""
PLACE = ("dag", "task_group")
"""Arguments that both take over, and that must be the same in a segment."""
DROPPED = {
    "print_log": "the run task shows the steps' changes; stream_logs=True shows their logs",
    "check_interval": "executions are checked by waiter_delay",
    "max_ingestion_time": "set max_wait_seconds, or the job's StoppingCondition",
    "max_attempts": "set max_wait_seconds",
    "action_if_job_exists": "SageMaker names the jobs",
    "check_if_job_exists": "SageMaker names the jobs",
    "action_if_model_exists": "SageMaker names the models",
    "check_if_model_exists": "SageMaker names the models",
    "operation": "an endpoint is updated if it is there, and else made",
    "provide_context": "Airflow has no such argument any more",
    "sla": "Airflow 3 has no SLAs; deadlines take their place",
}
"""Arguments that have no meaning for a step, and why."""
_OWN = ("task_id", "config", "wait_for_completion", "trigger_rule")


@dataclass(slots=True)
class Segment:
    """Tasks that become one pipeline.

    :param tasks: in the file's order.
    """

    tasks: list[JobTask] = field(default_factory=list)


def find_unknown_arguments(task: JobTask) -> list[str]:
    """Arguments of a task that neither a step nor the run task has a place for."""
    known = {*CONNECTION, *RUN, *PLACE, *DROPPED, *_OWN}
    return [name for name in task.keywords if name not in known]


def cut_into_segments(
    dag: DagFile,
    tasks: Iterable[JobTask],
    *,
    entries: Iterable[str],
    waits_for: Callable[[JobTask, JobTask], bool],
) -> list[Segment]:
    """Cut tasks into segments.

    :param tasks: those that become steps, and sensors, in the file's order. A sensor that waits for no task of a
        segment is in none.
    :param entries: ids of tasks that a branch names.
    :param waits_for: whether a sensor waits for what a task makes.
    """
    return _Cutter(dag, list(tasks), set(entries), waits_for).cut()


class _Cutter:
    def __init__(
        self, dag: DagFile, tasks: list[JobTask], entries: set[str], waits_for: Callable[[JobTask, JobTask], bool]
    ) -> None:
        self._waits_for = waits_for
        self._dag = dag
        self._tasks = tasks
        self._entries = entries
        self._after: dict[str, set[str]] = {}
        for order in dag.orders:
            for first, second in order.edges:
                for one in first:
                    self._after.setdefault(one.name, set()).update(two.name for two in second)

    def cut(self) -> list[Segment]:
        self._check_circles()
        segments: list[Segment] = []
        for task in self._sort():
            home = next((one for one in segments if self._may_join(task, one)), None)
            if home is None and task.is_sensor:
                continue
            if home is None:
                segments.append(Segment([task]))
            else:
                home.tasks.append(task)
        for one in segments:
            one.tasks.sort(key=lambda task: self._dag.file.span(task.call))
        return segments

    def _sort(self) -> list[JobTask]:
        """The tasks, each after those that it follows; in the file's order where that leaves a choice."""
        left, done = list(self._tasks), []
        while left:
            names = {_name(one) for one in left}
            done.append(next(one for one in left if not names & self._find_before(_name(one))))
            left.remove(done[-1])
        return done

    def _check_circles(self) -> None:
        """Refuse tasks that wait for each other.

        :raises MigrationError: naming the statement of one of them.
        """
        left = {name: set(after) for name, after in self._after.items()}
        while ready := [name for name, after in left.items() if not after & left.keys()]:
            for name in ready:
                del left[name]
        order = next(
            (one for one in self._dag.orders for stage in one.stages for entry in stage.entries if entry.name in left),
            None,
        )
        if order is not None:
            names = ", ".join(sorted(name.removeprefix("task ") for name in left)[:5])
            raise MigrationError(f"{self._dag.file.place(order.statement)}: tasks wait for each other: {names}.")

    def _find_before(self, name: str) -> set[str]:
        return {one for one, after in self._after.items() if name in after and one != name}

    def _may_join(self, task: JobTask, segment: Segment) -> bool:
        if "trigger_rule" in task.keywords or task.task_id in self._entries:
            return False
        names = {_name(one) for one in segment.tasks}
        before = self._find_before(_name(task))
        if task.is_sensor and not any(self._waits_for(task, one) for one in segment.tasks):
            return False
        if not names & before or not before - names <= self._find_ancestors(names):
            return False
        return self._stands_beside(task, segment.tasks[0]) and not self._leaves_between(task, names)

    def _find_ancestors(self, names: set[str]) -> set[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            for one in self._find_before(waiting.pop()) - found:
                found.add(one)
                waiting.append(one)
        return found

    def _stands_beside(self, task: JobTask, other: JobTask) -> bool:
        parents, file = self._dag.file.parents, self._dag.file
        if task.statement is None or other.statement is None or parents[task.statement] is not parents[other.statement]:
            return False
        for name in (*CONNECTION, *PLACE) if task.is_sensor else (*CONNECTION, *RUN, *PLACE):
            one, two = task.keywords.get(name), other.keywords.get(name)
            if (one is None) != (two is None) or (
                one is not None and two is not None and file.text(one) != file.text(two)
            ):
                if name == "doc_md":
                    continue
                return False
        return True

    def _leaves_between(self, task: JobTask, names: set[str]) -> bool:
        """Whether a way leads from the segment over another task to this one."""
        seen: set[str] = set()
        waiting = [one for name in names for one in self._after.get(name, ()) if one not in names]
        waiting = [one for one in waiting if one != _name(task)]
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            if _name(task) in self._after.get(name, ()):
                return True
            waiting += self._after.get(name, ())
        return False


def _name(task: JobTask) -> str:
    return f"task {task.task_id}"


def find_roots(dag: DagFile, segment: Segment) -> list[JobTask]:
    """The tasks of a segment that follow none of the segment."""
    inside = {id(one) for one in segment.tasks}
    behind = {
        id(two.task)
        for order in dag.orders
        for first, second in order.edges
        for two in second
        if id(two.task) in inside and any(id(one.task) in inside for one in first)
    }
    return [one for one in segment.tasks if id(one) not in behind]


def is_true(node: ast.expr | None, *, otherwise: bool) -> bool:
    """What an argument says that is True or False; ``otherwise`` if it is not given or something else."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, bool) else otherwise
