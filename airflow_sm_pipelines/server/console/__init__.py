"""Pages that show the endpoint's pipelines, executions and job logs. Airflow's links lead here on a laptop."""

from __future__ import annotations

from airflow_sm_pipelines.server.console.console_service import ConsoleService

__all__ = ["ConsoleService"]
