"""What deploying a definition would do: changes, findings, and which steps would take a cached result.

Pure: the definitions and the policy go in, a plan comes out, and text, JSON or Markdown of it.
"""

from __future__ import annotations

from airflow_sm_pipelines.planning.cache_forecast import CacheForecast, forecast_cache
from airflow_sm_pipelines.planning.deployment_plan import DeploymentPlan, plan_deployment
from airflow_sm_pipelines.planning.plan_text import render_plan, render_plan_markdown, write_plan

__all__ = [
    "CacheForecast",
    "DeploymentPlan",
    "forecast_cache",
    "plan_deployment",
    "render_plan",
    "render_plan_markdown",
    "write_plan",
]
