"""XComs for people and for ourselves: they go past a custom XCom backend, straight into Airflow's database.

The UI shows what the database holds, where a backend such as the one for object storage has put a path. And that
backend makes another object for each value of a key, and takes none away, which matters for what is written often.
"""

from __future__ import annotations

from typing import Any


def set_plain_xcom(ti: Any, key: str, value: Any) -> None:
    """Set an XCom of a task instance, as Airflow itself sets links."""
    from airflow.sdk.bases.xcom import BaseXCom

    BaseXCom.set(key=key, value=value, **xcom_identity(ti))


def get_plain_xcom(ti: Any, key: str) -> Any:
    """An XCom that :func:`set_plain_xcom` has set; None where there is none."""
    from airflow.sdk.bases.xcom import BaseXCom

    return BaseXCom.get_one(key=key, **xcom_identity(ti))


def xcom_identity(ti: Any) -> dict[str, Any]:
    """A task instance as the functions of Airflow's XComs take it."""
    index = -1 if ti.map_index is None else ti.map_index
    return {"dag_id": ti.dag_id, "task_id": ti.task_id, "run_id": ti.run_id, "map_index": index}
