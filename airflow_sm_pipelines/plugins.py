"""The Airflow plugin of this package: it names the operators' links, so that the UI can show those of stored DAGs.

Airflow reads it from the ``airflow.plugins`` entry point at every start; provider-declared plugins are skipped while
``[core] lazy_discover_providers`` is on, its default.
"""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin


class SageMakerPipelinesPlugin(AirflowPlugin):
    """Shows this package under *Admin → Plugins*."""

    name = "sm_pipelines"
