"""The plan of a deployment: the changes, the findings, and the steps that would take a cached result.

Pure: it takes definitions and a policy, and gives a plan and its text, JSON or Markdown. Nothing is called or deployed.
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
