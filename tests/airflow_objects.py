"""What a running task is given by Airflow: its instance, its DAG run and its task state store, as simple objects.

``tests/contract/test_airflow_objects.py`` holds each of their members to the object of the installed Airflow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass
class FakeTaskInstance:
    """A task instance that keeps the XComs it is given, and when it was first put off."""

    dag_id: str = "d"
    run_id: str = "r"
    task_id: str = "t"
    map_index: int | None = -1
    try_number: int = 1
    max_tries: int = 0
    task: Any = None
    bundle_instance: Any = None
    first_put_off: datetime | None = None
    pushed: dict[str, Any] = field(default_factory=dict)

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep an XCom."""
        self.pushed[key] = value

    def xcom_pull(
        self,
        task_ids: str | None = None,
        dag_id: str | None = None,
        key: str = "return_value",
        include_prior_dates: bool = False,
        *,
        map_indexes: int | None = None,
    ) -> Any:
        """One of its own XComs; no other's."""
        is_own = task_ids == self.task_id and dag_id in (None, self.dag_id) and map_indexes == self.map_index
        return self.pushed.get(key) if is_own else None

    def get_first_reschedule_date(self, context: Any) -> datetime | None:
        """When a sensor in reschedule mode was first put off."""
        return self.first_put_off


@dataclass
class FakeDagRun:
    """The DAG run of a task."""

    start_date: datetime | None = None
    run_after: datetime | None = None
    clear_number: int = 0
    conf: dict[str, Any] = field(default_factory=dict)


@dataclass
class FakeTaskStateStore:
    """What Airflow keeps for a task from one attempt to the next."""

    values: dict[str, Any] = field(default_factory=dict)

    def get(self, key: str, default: Any = None) -> Any:
        """One value, or the default."""
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        """Keep a value."""
        self.values[key] = value

    def delete(self, key: str) -> None:
        """Forget a value."""
        self.values.pop(key, None)


def make_context(
    ti: FakeTaskInstance | None = None, *, dag_run: Any = None, store: FakeTaskStateStore | None = None, **more: Any
) -> Any:
    """The context of a running task; with ``store`` that of Airflow 3.3, without that of an older one."""
    found = {"ti": ti or FakeTaskInstance(), "dag_run": dag_run or FakeDagRun(), **more}
    return found if store is None else {**found, "task_state_store": store}
