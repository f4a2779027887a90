"""Pages that show the local endpoint's pipelines, executions and job logs: where Airflow's links lead on a laptop."""

from __future__ import annotations

from airflow_sm_pipelines.server.console.console_service import CONSOLE_PATH, Console

__all__ = ["CONSOLE_PATH", "Console"]
