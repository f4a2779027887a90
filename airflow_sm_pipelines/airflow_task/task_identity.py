"""Who the running task instance is, read from Airflow's context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_sm_pipelines.runs.submission import TaskIdentity

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from airflow_sm_pipelines.deployment.provenance import Provenance


def parse_task_identity(context: Mapping[str, Any]) -> TaskIdentity:
    """The identity of the running task instance."""
    ti, dag_run = context["ti"], context["dag_run"]
    start = getattr(dag_run, "start_date", None) or getattr(dag_run, "run_after", None)
    return TaskIdentity(
        dag_id=ti.dag_id,
        run_id=ti.run_id,
        task_id=ti.task_id,
        map_index=_map_index(ti),
        run_start="" if start is None else start.isoformat(),
        max_tries=getattr(ti, "max_tries", 0) or 0,
        clear_number=getattr(dag_run, "clear_number", 0) or 0,
        try_number=ti.try_number,
    )


def read_provenance(context: Mapping[str, Any], *, code: Path) -> Provenance:
    """The task that deploys, and the revision of its code.

    :param code: the pipeline's script or definition, or the DAG file where the pipeline has no file.
    """
    from airflow_sm_pipelines.deployment.provenance import Provenance, read_git_revision

    ti = context["ti"]
    bundle = getattr(ti, "bundle_instance", None)
    revision = read_git_revision(code)
    version = getattr(bundle, "version", None)
    if revision is None and version:
        revision = f"bundle {getattr(bundle, 'name', '')} version {version}"
    return Provenance(
        dag_id=ti.dag_id, run_id=ti.run_id, task_id=ti.task_id, map_index=_map_index(ti), revision=revision
    )


def _map_index(ti: Any) -> int:
    return -1 if ti.map_index is None else int(ti.map_index)
