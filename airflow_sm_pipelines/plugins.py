"""The Airflow plugin of this package; its views in the Airflow UI belong here.

Airflow finds it by the ``airflow.plugins`` entry point at every start. It would skip a plugin that only the provider
declares, because ``[core] lazy_discover_providers`` is on by default.
"""

from __future__ import annotations

try:
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # Airflow 3.1; delete when 3.2 is the oldest
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]


class SageMakerPipelinesPlugin(AirflowPlugin):
    """Shows this package under *Admin → Plugins*."""

    name = "sm_pipelines"
