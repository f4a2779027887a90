"""The Airflow plugin of this package, for views of pipelines in the Airflow UI.

Airflow loads it from the ``airflow.plugins`` entry point at every start. It would skip a plugin that the provider
declares, as long as ``[core] lazy_discover_providers`` is on, which is the default.
"""

from __future__ import annotations

try:
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # Airflow 3.1; delete when 3.2 is the oldest
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]


class SageMakerPipelinesPlugin(AirflowPlugin):
    """Shows this package under *Admin → Plugins*."""

    name = "sm_pipelines"
