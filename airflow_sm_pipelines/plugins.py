"""The Airflow plugin of this package; its views in the Airflow UI belong here.

Airflow finds it by the ``airflow.plugins`` entry point at every start. It would skip a plugin that only the provider
declares, because ``[core] lazy_discover_providers`` is on by default.
"""

from __future__ import annotations

from typing import Any

from airflow_sm_pipelines.airflow_task import ended_task_listener

try:
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # Airflow 3.1; delete when 3.2 is the oldest
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]


class SageMakerPipelinesPlugin(AirflowPlugin):
    """Shows this package under *Admin → Plugins*, and has executions stopped whose tasks were ended."""

    name = "sm_pipelines"
    listeners = [ended_task_listener]

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Airflow: the plugin was loaded."""
        ended_task_listener.watch_database()
