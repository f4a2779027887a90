"""The Airflow plugin of this package; its views in the Airflow UI belong here.

Airflow finds it by the ``airflow.plugins`` entry point at every start. It would skip a plugin that only the provider
declares, because ``[core] lazy_discover_providers`` is on by default.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from airflow_sm_pipelines.airflow_names import conf
from airflow_sm_pipelines.airflow_task import ended_task_listener

try:
    from airflow.sdk.plugins_manager import AirflowPlugin
except ImportError:  # Airflow 3.1; delete when 3.2 is the oldest
    from airflow.plugins_manager import AirflowPlugin  # type: ignore[assignment]

PAGE_PREFIX = "/sm_pipelines"
"""Where Airflow's api-server serves the page's API and its script."""

PAGE_NAME = "SageMaker"
"""The tab's name. Airflow also finds the page's component by it, as a global of the browser."""


class PageApp:
    """The page's API. It is made when it is first asked: a plugin is loaded in processes that serve nothing, too."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request, as an ASGI application."""
        if self._app is None:
            from airflow_sm_pipelines.airflow_page.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)


def make_tabs(base_url: str) -> list[dict[str, Any]]:
    """The page as a tab of DAG, DAG run and task instance.

    :param base_url: Airflow's own; its path is the one behind which a proxy serves Airflow. Airflow 3.1 takes only
        whole paths.
    """
    files = f"{urlsplit(base_url).path.rstrip('/')}{PAGE_PREFIX}/static"
    shared = {"name": PAGE_NAME, "bundle_url": f"{files}/page.js", "icon": f"{files}/icon.svg"}
    routes = {"dag": "sagemaker", "dag_run": "sagemaker-run", "task_instance": "sagemaker-task"}
    return [{**shared, "destination": where, "url_route": route} for where, route in routes.items()]


class SageMakerPipelinesPlugin(AirflowPlugin):
    """Shows executions as a tab, and has executions stopped whose tasks were ended."""

    name = "sm_pipelines"
    listeners = [ended_task_listener]
    fastapi_apps = [{"app": PageApp(), "url_prefix": PAGE_PREFIX, "name": "SageMaker pipelines"}]
    react_apps = make_tabs(conf.get("api", "base_url", fallback="") or "")

    @classmethod
    def on_load(cls, *args: Any, **kwargs: Any) -> None:
        """Airflow: the plugin was loaded."""
        ended_task_listener.watch_database()
